//! The order in which feature rows are trained on, one epoch at a time.

use longtail_ops::{below, shuffle, stream, uniform};
use longtail_recipe::Sampler;
use rand_chacha::ChaCha8Rng;

use crate::generate::ClassStore;

/// Rows drawn in a row from one class by the class-balanced sampler.
///
/// # Source
/// CB's `cls_crt.yaml`: `num_samples_cls: 4`.
pub const SAMPLES_PER_CLASS: usize = 4;

/// Batches of one epoch over real rows: ⌊N/batch⌋ of them, at least one.
#[derive(Debug, Clone)]
pub struct RowSampler {
    sampler: Sampler,
    batch_size: usize,
    epochs: usize,
    seed: u64,
    purpose: &'static str,
}

impl RowSampler {
    /// A sampler whose orders come from the streams (`seed`, `purpose`, epoch). `epochs` is the whole training's length: the
    /// progressively balanced sampler shifts over it.
    pub fn new(sampler: Sampler, batch_size: usize, epochs: usize, seed: u64, purpose: &'static str) -> Self {
        Self { sampler, batch_size, epochs, seed, purpose }
    }

    /// Rows of an epoch over `store`.
    pub fn rows(&self, store: &ClassStore) -> usize {
        let batches = (store.len() / self.batch_size).max(1);
        (batches * self.batch_size).min(store.len())
    }

    /// The rows of one epoch, batch after batch.
    ///
    /// Every sampler stops after ⌊N/batch⌋ batches, as CB's trainer does. Instance-balanced: a shuffle, each row once.
    /// Class-balanced: CB's `ClassAwareSampler`, four rows in a row from each class of a shuffled cycle, every class with its own
    /// shuffled cycle. Square-root: class with probability ∝ √N_k, then a row of it, uniformly. Progressively balanced: class with
    /// probability (1−λ)·N_k/N + λ/K, λ = epoch/(epochs − 1), then a row of it.
    ///
    /// # Source
    /// methods.md §3.7. CB keeps its cycles from epoch to epoch; here each epoch starts new ones, so that an epoch is a
    /// function of (seed, epoch).
    pub fn epoch(&self, store: &ClassStore, epoch: usize) -> Vec<u32> {
        let rows = self.rows(store);
        let mut rng = stream(self.seed, self.purpose, epoch as u64, 0);
        match self.sampler {
            Sampler::ClassBalanced => class_aware(store, rows, &mut rng),
            Sampler::SquareRoot => {
                let weights = store.counts().iter().map(|&count| (count as f64).sqrt()).collect();
                by_class(store, rows, weights, &mut rng)
            }
            Sampler::ProgressivelyBalanced => {
                let share = epoch as f64 / (self.epochs.saturating_sub(1)).max(1) as f64;
                let (total, classes) = (store.len() as f64, store.num_classes() as f64);
                let weights = store
                    .counts()
                    .iter()
                    .map(|&count| (1.0 - share) * count as f64 / total + share / classes)
                    .collect();
                by_class(store, rows, weights, &mut rng)
            }
            Sampler::InstanceBalanced => {
                let mut order: Vec<u32> = (0..store.len() as u32).collect();
                shuffle(&mut rng, &mut order);
                order.truncate(rows);
                order
            }
        }
    }

    /// The batches of one epoch as `(features (n, d), labels (n))`.
    pub fn batches<'a>(
        &self,
        store: &'a ClassStore,
        epoch: usize,
    ) -> impl Iterator<Item = (Vec<f32>, Vec<u32>)> + use<'a> {
        let (order, batch_size) = (self.epoch(store, epoch), self.batch_size);
        let batches = order.len().div_ceil(batch_size);
        (0..batches).map(move |batch| {
            let rows = &order[batch * batch_size..((batch + 1) * batch_size).min(order.len())];
            let features = rows.iter().flat_map(|&row| store.row(row as usize).iter().copied()).collect();
            let labels = rows.iter().map(|&row| store.labels()[row as usize]).collect();
            (features, labels)
        })
    }
}

/// An endless cycle over items, shuffled anew at each wrap.
struct Cycle {
    items: Vec<u32>,
    next: usize,
}

impl Cycle {
    fn new(items: Vec<u32>) -> Self {
        let next = items.len();
        Self { items, next }
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) -> u32 {
        if self.next == self.items.len() {
            shuffle(rng, &mut self.items);
            self.next = 0;
        }
        self.next += 1;
        self.items[self.next - 1]
    }
}

fn class_aware(store: &ClassStore, rows: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut classes = Cycle::new((0..store.num_classes() as u32).collect());
    let mut members: Vec<Cycle> = (0..store.num_classes())
        .map(|class| {
            Cycle::new((store.start(class) as u32..(store.start(class) + store.count(class)) as u32).collect())
        })
        .collect();
    let mut out = Vec::with_capacity(rows + SAMPLES_PER_CLASS);
    while out.len() < rows {
        let class = classes.draw(rng) as usize;
        for _ in 0..SAMPLES_PER_CLASS {
            out.push(members[class].draw(rng));
        }
    }
    out.truncate(rows);
    out
}

fn by_class(store: &ClassStore, rows: usize, weights: Vec<f64>, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut cumulative = weights;
    for class in 1..cumulative.len() {
        cumulative[class] += cumulative[class - 1];
    }
    let total = cumulative.last().copied().unwrap_or(0.0);
    (0..rows)
        .map(|_| {
            let at = uniform(rng) * total;
            let class = cumulative.partition_point(|&upper| upper <= at).min(store.num_classes() - 1);
            (store.start(class) as u64 + below(rng, store.count(class) as u64)) as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> ClassStore {
        let labels: Vec<u32> = [(0u32, 60usize), (1, 30), (2, 6)].iter().flat_map(|&(k, n)| vec![k; n]).collect();
        let features: Vec<f32> = (0..labels.len()).map(|row| row as f32).collect();
        ClassStore::new(&features, &labels, 3, 1).expect("valid")
    }

    fn epoch(sampler: Sampler, epoch: usize) -> Vec<u32> {
        RowSampler::new(sampler, 10, 5, 7, "test").epoch(&store(), epoch)
    }

    fn per_class(rows: &[u32]) -> [usize; 3] {
        let store = store();
        let mut counts = [0; 3];
        rows.iter().for_each(|&row| counts[store.labels()[row as usize] as usize] += 1);
        counts
    }

    #[test]
    fn an_epoch_is_whole_batches_of_the_data() {
        for sampler in
            [Sampler::InstanceBalanced, Sampler::ClassBalanced, Sampler::SquareRoot, Sampler::ProgressivelyBalanced]
        {
            assert_eq!(epoch(sampler, 1).len(), 90, "{sampler:?}: ⌊96/10⌋ batches");
            assert_eq!(epoch(sampler, 1), epoch(sampler, 1));
            assert_ne!(epoch(sampler, 1), epoch(sampler, 2));
        }
    }

    #[test]
    fn instance_balanced_takes_each_row_once() {
        let mut rows = epoch(Sampler::InstanceBalanced, 0);
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 90);
    }

    #[test]
    fn class_balanced_takes_four_in_a_row_and_each_class_alike() {
        let rows = epoch(Sampler::ClassBalanced, 0);
        let store = store();
        for four in rows.chunks_exact(4) {
            let label = store.labels()[four[0] as usize];
            assert!(four.iter().all(|&row| store.labels()[row as usize] == label));
        }
        // 22 draws of four and one of two, classes in turns of three
        assert!(per_class(&rows).iter().all(|&count| (26..=34).contains(&count)), "{:?}", per_class(&rows));
        // the 6 rows of class 2 come round evenly: a cycle takes each before any comes again
        let last: Vec<u32> = rows.iter().copied().filter(|&row| row >= 90).collect();
        for cycle in last.chunks_exact(6) {
            let mut cycle = cycle.to_vec();
            cycle.sort_unstable();
            assert_eq!(cycle, vec![90, 91, 92, 93, 94, 95]);
        }
    }

    #[test]
    fn progressively_balanced_moves_from_instances_to_classes() {
        let first: [usize; 3] = per_class(&epoch(Sampler::ProgressivelyBalanced, 0));
        let last = per_class(&epoch(Sampler::ProgressivelyBalanced, 4));
        assert!(first[0] > 45 && first[2] < 15, "{first:?}");
        assert!(last.iter().all(|&count| (17..=43).contains(&count)), "{last:?}");
    }

    #[test]
    fn batches_carry_the_rows_features() {
        let store = store();
        let sampler = RowSampler::new(Sampler::InstanceBalanced, 10, 5, 7, "test");
        let order = sampler.epoch(&store, 3);
        let batches: Vec<_> = sampler.batches(&store, 3).collect();
        assert_eq!(batches.len(), 9);
        assert_eq!(batches[2].0[4], store.row(order[24] as usize)[0]);
    }
}
