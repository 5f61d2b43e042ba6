//! Times one CE step and one MPCL step of ResNet-32 on random images, and prints their ratio.
//!
//! `cargo run --release -p longtail-representation --example step_time -- [BATCH] [STEPS]` (default 128 and 5). By counting
//! multiplications the ratio is 10/3: forward 1, backward 2, meta forward and backward 3, JVP 2, second backward 2, over
//! forward 1 and backward 2 (mpcl_mpfa.md §4.5).

use std::time::Instant;

use longtail_backbone::{Architecture, ImageShape};
use longtail_ops::{normal, stream};
use longtail_recipe::{Jvp, MetaBn, MetaOptimizer, MetaScale, VirtualStep};
use longtail_representation::meta_network::MetaNetwork;
use longtail_representation::method::{LabelledImages, MetaBatches, Method, Mpcl, MpclSettings, StepAt};
use longtail_representation::prototypes::PrototypeSettings;
use longtail_representation::{Model, RepresentationError};
use longtail_training::{AdamSettings, ClassificationLoss, EpochMeter, HeadForm, Sgd, SgdSettings};

const CLASSES: usize = 100;

struct OneBatch(LabelledImages<f32>);

impl MetaBatches<f32> for OneBatch {
    fn batch(&self, _index: u64) -> Result<LabelledImages<f32>, RepresentationError> {
        Ok(self.0.clone())
    }
}

fn images(seed: u64, n: usize) -> LabelledImages<f32> {
    let mut rng = stream(seed, "example/images", 0, 0);
    LabelledImages {
        images: (0..n * 32 * 32 * 3).map(|_| normal(&mut rng) as f32).collect(),
        labels: (0..n).map(|index| (index % CLASSES) as u32).collect(),
    }
}

fn settings(first_epoch: usize) -> MpclSettings {
    MpclSettings {
        loss: ClassificationLoss::cross_entropy(),
        meta_loss: ClassificationLoss::cross_entropy(),
        use_meta: true,
        lambda: 0.5,
        lambda_ramp_epochs: 0,
        tau: 0.07,
        first_epoch,
        pc_warm: false,
        prototypes: PrototypeSettings {
            momentum: vec![0.999; CLASSES],
            per_sample: true,
            on_sphere: true,
            debias: false,
        },
        ema_after_tth: true,
        network: MetaNetwork::new(64, 0, true, 180.0),
        theta_optimizer: MetaOptimizer::Adam,
        meta_lr: 1e-4,
        follow_schedule: true,
        adam: AdamSettings::default(),
        proximity: 0.0,
        meta_every: 1,
        scale: MetaScale::Unit,
        virtual_step: VirtualStep::Sgd,
        jvp: Jvp::Forward,
        meta_bn: MetaBn::Batch,
    }
}

/// One method's model, optimiser and state.
struct Bench {
    model: Model<f32>,
    optimizer: Sgd<f32>,
    mpcl: Mpcl<f32>,
    train: LabelledImages<f32>,
    meter: EpochMeter,
    steps: u64,
}

impl Bench {
    /// CE alone before `first_epoch`, MPCL from there; steps are of epoch 0.
    fn new(first_epoch: usize, batch: usize) -> Result<Self, RepresentationError> {
        let image = ImageShape { height: 32, width: 32, channels: 3 };
        let model = Model::new(&Architecture::CifarResNet { depth: 32 }, image, HeadForm::Linear, CLASSES, 0)?;
        let sgd = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
        let optimizer = Sgd::new(sgd, model.weights.len(), None);
        let mpcl = Mpcl::new(settings(first_epoch), Some(Box::new(OneBatch(images(1, batch)))), 0)?;
        Ok(Self { model, optimizer, mpcl, train: images(0, batch), meter: EpochMeter::default(), steps: 0 })
    }

    /// Wall and CPU seconds of one step.
    fn step_secs(&mut self) -> Result<[f64; 2], RepresentationError> {
        let at = StepAt { epoch: 0, step: self.steps, epoch_fraction: 0.0, lr: 1e-3, relative_lr: 1.0 };
        let (began, cpu) = (Instant::now(), cpu_secs());
        self.mpcl.step(&mut self.model, &mut self.optimizer, &self.train, &at, &mut self.meter)?;
        self.steps += 1;
        Ok([began.elapsed().as_secs_f64(), cpu_secs() - cpu])
    }
}

/// CPU seconds of this process so far, from Linux's `/proc/self/stat` in ticks of 10 ms; NaN elsewhere.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15 of the line; the name in field 2 may hold blanks, so count from its closing bracket.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> Result<(), RepresentationError> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (batch, steps) = (numbers.next().unwrap_or(128), numbers.next().unwrap_or(5));
    let mut benches = [Bench::new(1, batch)?, Bench::new(0, batch)?];
    let mut seconds: [Vec<[f64; 2]>; 2] = Default::default();
    // In turn, so that a busy machine slows both; the first of each fills the buffers.
    for step in 0..=steps {
        for (bench, seconds) in benches.iter_mut().zip(&mut seconds) {
            let secs = bench.step_secs()?;
            if step > 0 {
                seconds.push(secs);
            }
        }
    }
    println!("ResNet-32, batch {batch}, {steps} steps of each in turn; the ratio is 10/3 by counting multiplications");
    for (clock, what) in ["wall", "CPU"].into_iter().enumerate() {
        let sorted = |of: &[[f64; 2]]| {
            let mut column: Vec<f64> = of.iter().map(|secs| secs[clock]).collect();
            column.sort_by(f64::total_cmp);
            column
        };
        let (ce, mpcl) = (sorted(&seconds[0]), sorted(&seconds[1]));
        for (place, index) in [("fastest", 0), ("median", steps / 2)] {
            let (Some(ce), Some(mpcl)) = (ce.get(index), mpcl.get(index)) else { continue };
            println!("{what:4} {place:7}  CE {ce:.3} s  MPCL {mpcl:.3} s  ratio {:.2}", mpcl / ce);
        }
    }
    Ok(())
}
