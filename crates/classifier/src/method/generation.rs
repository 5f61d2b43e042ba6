//! What TailCalib and MPFA share: a model, laws, a plan of rows, and each epoch's balanced batches from them.

use longtail_artifact::counted;
use longtail_ops::stream_words;
use longtail_recipe::{CountRule, TailRule};
use longtail_training::Compute;

use crate::ClassifierError;
use crate::generate::{
    BalancedEpoch, EpochMemory, FeatureModel, LowRankSampler, OnHost, Remainder, RowLaws, RowPlan, SamplerScratch,
    normalize_rows,
};
use crate::journal::Journal;

/// Settings that stay the same over the epochs.
#[derive(Debug, Clone, Copy)]
pub struct GenerationSettings {
    /// The recipe's seed.
    pub seed: u64,
    /// Prefix of the streams' names: `mpfa` or `tailcalib`.
    pub prefix: &'static str,
    /// Which classes are raised.
    pub tail: TailRule,
    /// By how many rows.
    pub count: CountRule,
    /// Who gets the remainder.
    pub remainder: Remainder,
    /// Rows get unit norm before the head.
    pub normalize: bool,
    /// Rows per training step.
    pub batch_size: usize,
    /// New rows every epoch, or the same ones.
    pub every_epoch: bool,
    /// The rows of a generation that is used over and over may be kept (its laws never change).
    pub may_cache: bool,
}

/// Most bytes of generated rows that are kept from epoch to epoch when they are the same in each.
const CACHE_BYTES: usize = 256 << 20;

/// Generates an epoch's rows.
pub struct Generation {
    settings: GenerationSettings,
    /// Rows, means and factors.
    pub model: FeatureModel,
    /// One law a source row.
    pub laws: RowLaws,
    plan: RowPlan,
    plan_epoch: Option<usize>,
    cache: Option<Vec<f32>>,
    announced: bool,
    /// The trial at work: rows of classes are logged in the first alone, wherever a run goes on.
    trial: usize,
    /// On a GPU: a copy of the model there.
    #[cfg(feature = "cuda")]
    there: Option<crate::generate::OnCuda>,
}

impl Generation {
    /// A generation from a model and the laws of its rows.
    pub fn new(settings: GenerationSettings, model: FeatureModel, laws: RowLaws) -> Self {
        let plan = RowPlan::new(&[], settings.tail, settings.count, settings.remainder, settings.seed, "", 0);
        Self {
            settings,
            model,
            laws,
            plan,
            plan_epoch: None,
            cache: None,
            announced: false,
            trial: 0,
            #[cfg(feature = "cuda")]
            there: None,
        }
    }

    /// Another model, with its laws.
    pub fn replace(&mut self, model: FeatureModel, laws: RowLaws) {
        (self.model, self.laws) = (model, laws);
        #[cfg(feature = "cuda")]
        {
            self.there = None;
        }
    }

    /// Starts a trial with these laws; rows that were kept are dropped.
    pub fn begin_trial(&mut self, trial: usize, laws: RowLaws) {
        (self.trial, self.laws) = (trial, laws);
        self.forget_rows();
    }

    /// Drops rows that were kept: the laws have changed.
    pub fn forget_rows(&mut self) {
        self.cache = None;
    }

    /// The memory that generation takes, with the number of rows of an epoch.
    pub fn memory(&self) -> EpochMemory {
        let plan = self.plan_of(0);
        EpochMemory::new(&self.model, &self.laws, plan.len(), self.settings.batch_size, rayon::current_num_threads())
    }

    /// Rows that epoch 0 generates for each class, `(K,)`.
    pub fn rows_per_class(&self) -> Vec<usize> {
        self.plan_of(0).per_class().to_vec()
    }

    /// Real and generated rows of epoch 0, and of every other: only which rows get the remainder differs.
    pub fn rows_per_epoch(&self) -> usize {
        self.model.base.len() + self.plan_of(0).len()
    }

    /// Of each of `classes` the first `most` rows that epoch 0 generates, class by class: the very rows that a head learns from.
    ///
    /// # Returns
    /// Labels `(G,)` and rows `(G, d)`, normalised if the head's are.
    ///
    /// # Errors
    /// When model and laws disagree in size.
    pub fn first_rows(&self, classes: &[u32], most: usize) -> Result<(Vec<u32>, Vec<f32>), ClassifierError> {
        let plan = self.plan_of(0);
        let mut first = 0;
        let starts: Vec<u32> = plan
            .per_class()
            .iter()
            .map(|count| {
                first += count;
                (first - count) as u32
            })
            .collect();
        let (mut labels, mut numbers) = (Vec::new(), Vec::new());
        for &class in classes {
            let count = plan.per_class()[class as usize].min(most) as u32;
            labels.extend((0..count).map(|_| class));
            numbers.extend((0..count).map(|row| starts[class as usize] + row));
        }
        let dim = self.model.base.dim();
        let mut rows = vec![0f32; numbers.len() * dim];
        LowRankSampler::new(&self.model, &self.laws, &plan, self.key(0))?.fill(
            &numbers,
            &mut rows,
            &mut SamplerScratch::default(),
        );
        if self.settings.normalize {
            normalize_rows(&mut rows, dim);
        }
        Ok((labels, rows))
    }

    fn plan_of(&self, generation: usize) -> RowPlan {
        let GenerationSettings { seed, prefix, tail, count, remainder, .. } = self.settings;
        let purpose = format!("{prefix}/remainder");
        RowPlan::new(&self.model.base.store().counts(), tail, count, remainder, seed, &purpose, generation as u64)
    }

    /// The key of one generation's noise.
    fn key(&self, generation: usize) -> [u32; 2] {
        stream_words(self.settings.seed, &format!("{}/noise/epoch-{generation}", self.settings.prefix))
    }

    /// The balanced batches of a 0-based epoch, at most `steps` of them, drawn where the head is trained.
    ///
    /// The first call prints the memory that generation takes and logs the rows of each class.
    ///
    /// # Errors
    /// When model and laws disagree in size, or the log cannot be written.
    pub fn epoch(
        &mut self,
        epoch: usize,
        steps: Option<usize>,
        compute: &Compute,
        journal: &mut dyn Journal,
    ) -> Result<BalancedEpoch<'_>, ClassifierError> {
        let generation = if self.settings.every_epoch { epoch } else { 0 };
        if self.plan_epoch != Some(generation) {
            self.plan = self.plan_of(generation);
            self.plan_epoch = Some(generation);
            self.cache = None;
        }
        let memory = self.memory();
        let settings = self.settings;
        let is_elsewhere = !compute.device().is_cpu(); // where rows are drawn again faster than they are fetched
        let keeps_rows =
            settings.may_cache && !settings.every_epoch && !is_elsewhere && memory.materialised_bytes <= CACHE_BYTES;
        if !self.announced {
            self.announce(epoch, &memory, keeps_rows, is_elsewhere, journal)?;
        }
        journal.scalar(epoch, "generate", "rows", self.plan.len() as f64, "rows")?;
        let key = self.key(generation);
        if keeps_rows && self.cache.is_none() {
            let sampler = LowRankSampler::new(&self.model, &self.laws, &self.plan, key)?;
            let numbers: Vec<u32> = (0..self.plan.len() as u32).collect();
            let mut rows = vec![0f32; numbers.len() * self.model.base.dim()];
            sampler.fill(&numbers, &mut rows, &mut SamplerScratch::default());
            self.cache = Some(rows);
        }
        #[cfg(feature = "cuda")]
        if is_elsewhere && self.there.is_none() {
            self.there = crate::generate::OnCuda::new(compute, &self.model)?;
        }
        let sampler = LowRankSampler::new(&self.model, &self.laws, &self.plan, key)?;
        let order = (settings.seed, format!("{}/order", settings.prefix), epoch as u64);
        let rows = BalancedEpoch::new(
            &self.model,
            sampler,
            &self.plan,
            settings.normalize,
            settings.batch_size,
            memory.block_rows,
            steps,
            (order.0, &order.1, order.2),
        );
        #[cfg(feature = "cuda")]
        if let Some(there) = &mut self.there {
            return Ok(rows.drawn_by(there));
        }
        Ok(rows.drawn_by(OnHost::new(self.cache.as_deref())))
    }

    fn announce(
        &mut self,
        epoch: usize,
        memory: &EpochMemory,
        keeps_rows: bool,
        is_elsewhere: bool,
        journal: &mut dyn Journal,
    ) -> Result<(), ClassifierError> {
        self.announced = true;
        let rows = format!(
            "generation: {} in addition to {}",
            counted(self.plan.len(), "row"),
            counted(self.model.base.len(), "real one")
        );
        let (workspace, all) = (mebibytes(memory.workspace_bytes), mebibytes(memory.materialised_bytes));
        journal.note(&match (is_elsewhere, keeps_rows) {
            (true, _) => format!("{rows}, drawn on the device"),
            (false, held) => format!(
                "{rows}; workspace {workspace} (fixed, {} rows at a time), inputs {}; all rows at once {} {all}",
                memory.block_rows,
                mebibytes(memory.resident_bytes),
                if held { "are kept:" } else { "would be" },
            ),
        });
        if epoch == 0 && self.trial == 0 {
            for (class, &rows) in self.plan.per_class().iter().enumerate() {
                journal.scalar(epoch, "generate", &format!("rows/class-{class}"), rows as f64, "rows")?;
            }
        }
        Ok(())
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
