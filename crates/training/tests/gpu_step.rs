//! What methods are made of, on a GPU against the CPU: the same text over tensors that lie elsewhere.
#![cfg(feature = "cuda")]

use candle_core::{DType, Tensor, Var};
use longtail_artifact::{Device, NamedTensor, TensorData};
use longtail_backbone::{Architecture, ImageShape};
use longtail_ops::gpu::Element;
use longtail_ops::{normal, stream};
use longtail_recipe::{VirtualStep, WdGroups};
use longtail_training::prototype::{PrototypeBank, PrototypeSettings, UnitRows};
use longtail_training::step::{MicroBatch, Seen, Term};
use longtail_training::{
    Adam, AdamSettings, At, Compute, CrossEntropy, Feed, Head, HeadForm, HeadShape, ImageBatch, Model, Norm, Sgd,
    SgdSettings, StateReader, StateWriter, Step, TrainingError, move_state, restore_state, save_state, to_f32,
};

const CLASSES: usize = 4;
const IMAGE: ImageShape = ImageShape { height: 8, width: 8, channels: 3 };
const LABELS: [u32; 6] = [0, 3, 1, 1, 2, 0];

type Outcome<T = ()> = Result<T, TrainingError>;

/// The GPU, ready; none where there is none.
fn gpu() -> Option<Compute> {
    let opened = Compute::open(Device::Cuda(0), "representation");
    match opened.and_then(|compute| compute.prepare(false).map(|()| compute)) {
        Ok(compute) => Some(compute),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

fn normals(purpose: &str, len: usize) -> Vec<f32> {
    let mut rng = stream(1, purpose, 0, 0);
    (0..len).map(|_| normal(&mut rng) as f32).collect()
}

fn tensor(compute: &Compute, purpose: &str, shape: &[usize]) -> Outcome<Tensor> {
    Ok(Tensor::from_vec(normals(purpose, shape.iter().product()), shape, compute.device())?)
}

/// Named results, as the CPU and as the GPU has them.
type Results = Vec<(String, Vec<f32>)>;

fn compare(run: impl Fn(&Compute) -> Outcome<Results>) {
    let Some(gpu) = gpu() else { return };
    let (expected, found) = (run(&Compute::cpu()).expect("the CPU"), run(&gpu).expect("the GPU"));
    assert_eq!(expected.len(), found.len());
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        assert_eq!(expected.len(), found.len(), "{name}");
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let difference = square(&mut expected.iter().zip(found).map(|(a, b)| a - b));
        let relative = difference / square(&mut expected.iter().copied()).max(1e-12);
        assert!(relative < 1e-4, "{name}: off by {relative:.1e} of its length");
    }
}

fn step(compute: &Compute, form: HeadForm, nesterov: bool, most: usize) -> Outcome<Step> {
    let architecture = Architecture::CifarResNet { depth: 8 };
    let model = Model::new(&architecture, IMAGE, form, CLASSES, 3, DType::F32)?.on(compute, Element::F32)?;
    let sgd = SgdSettings { momentum: 0.9, nesterov, weight_decay: 1e-2 };
    let optimizer = Sgd::new(sgd, &model.weights, model.decay_ranges(WdGroups::WeightsOnly))?;
    Ok(Step::new(model, optimizer, MicroBatch::new(most, LABELS.len())))
}

fn batch(compute: &Compute, feed: Feed, purpose: &str) -> Outcome<ImageBatch> {
    let shape = [LABELS.len(), IMAGE.height, IMAGE.width, IMAGE.channels];
    Ok(ImageBatch::new(feed, tensor(compute, purpose, &shape)?, LABELS.to_vec()))
}

fn loss(seen: &Seen<'_>) -> Outcome<Vec<Term>> {
    let value = CrossEntropy::default().of(&seen.logits()?, seen.labels)?;
    Ok(vec![Term { name: "ce", value, share: seen.share(), weight: 1.0 }])
}

fn floats(tensors: Vec<NamedTensor>) -> Results {
    let values = |data: TensorData| match data {
        TensorData::F32(values) => values,
        other => panic!("a state of {other:?}"),
    };
    tensors.into_iter().map(|tensor| (tensor.name, values(tensor.data))).collect()
}

#[test]
fn passes_and_steps_on_a_real_gpu_are_the_cpus() {
    for (form, nesterov, most) in [(HeadForm::Linear, false, 0), (HeadForm::Cosine { scale: 4.0 }, true, 3)] {
        compare(|compute| {
            let mut step = step(compute, form, nesterov, most)?;
            let (train, side) = (batch(compute, Feed::Train, "train")?, batch(compute, Feed::Side, "side")?);
            let direction = step.model.network.placed(&tensor(&Compute::cpu(), "v", step.model.weights.dims())?)?;
            let mut results = Results::new();
            for round in 0..3 {
                let mut note = |name: &str, values: Vec<f32>| results.push((format!("{name} {round}"), values));
                let gradient = step.gradient(At::Weights, &train, Norm::Batch, &loss)?;
                note("features", to_f32(&gradient.features)?);
                note("loss", to_f32(&gradient.losses.total()?.to_dtype(DType::F32)?.reshape(1)?)?);
                note("along", to_f32(&step.along(&train, Norm::Batch, &direction)?)?);
                for kind in [VirtualStep::Sgd, VirtualStep::Momentum, VirtualStep::Nesterov] {
                    let ahead = step.ahead(kind, 0.05, &gradient)?;
                    let there = step.gradient(At::Moved(ahead.weights.tensor()), &side, Norm::Batch, &loss)?;
                    note("ahead", to_f32(&step.model.network.in_file_order(ahead.weights.tensor())?)?);
                    note("there", to_f32(&step.model.network.in_file_order(there.weights.tensor())?)?);
                }
                let moved = step.moved(0.01, &direction)?;
                note("moved", to_f32(&step.features(At::Moved(moved.tensor()), &side, Norm::Running)?)?);
                step.descend(0.05, &gradient)?;
                let mut writer = StateWriter::default();
                save_state(step.state(), &mut writer)?;
                floats(writer.into_tensors()).into_iter().for_each(|(name, values)| note(&name, values));
            }
            Ok(results)
        });
    }
}

#[test]
fn a_checkpoint_of_a_real_gpu_goes_on_anywhere() {
    let Some(gpu) = gpu() else { return };
    let saved = |step: &mut Step| -> Outcome<Vec<NamedTensor>> {
        let mut writer = StateWriter::default();
        save_state(step.state(), &mut writer)?;
        Ok(writer.into_tensors())
    };
    let run = || -> Outcome {
        let mut there = step(&gpu, HeadForm::Linear, false, 0)?;
        let gradient = there.gradient(At::Weights, &batch(&gpu, Feed::Train, "train")?, Norm::Batch, &loss)?;
        there.descend(0.1, &gradient)?;
        let checkpoint = saved(&mut there)?;
        for compute in [&gpu, &Compute::cpu()] {
            let mut resumed = step(compute, HeadForm::Linear, false, 0)?;
            restore_state(resumed.state(), &mut StateReader::new("checkpoint", checkpoint.clone()))?;
            assert_eq!(saved(&mut resumed)?, checkpoint, "to the bit");
        }
        Ok(())
    };
    run().expect("sizes fit");
}

#[test]
fn losses_and_heads_on_a_real_gpu_are_the_cpus() {
    let rare = CrossEntropy::with_class_weights(vec![0.5, 1.0, 2.0, 4.0]).with_smoothing(0.1);
    let shifted = CrossEntropy::with_logit_offsets(vec![3.0, 2.0, 1.0, 0.0]);
    for (form, loss) in [
        (HeadForm::Linear, &rare),
        (HeadForm::Cosine { scale: 8.0 }, &shifted),
        (HeadForm::NormedLinear, &rare),
        (HeadForm::ScaledLinear, &shifted),
    ] {
        compare(|compute| {
            let shape = HeadShape { form, num_classes: CLASSES, feature_dim: 5 };
            let features = Var::from_tensor(&tensor(compute, "z", &[LABELS.len(), 5])?)?;
            let head = Head::variables(&shape, &tensor(compute, "head", &[shape.len()])?)?;
            let logits = head.logits(&features)?;
            let value = loss.of(&logits, &LABELS)?;
            let store = value.backward()?;
            let of_features = store.get(&features).expect("a gradient").contiguous()?;
            Ok(vec![
                ("logits".to_owned(), to_f32(&logits)?),
                ("loss".to_owned(), to_f32(&value.reshape(1)?)?),
                ("gradient of the features".to_owned(), to_f32(&of_features)?),
                ("gradient of the head".to_owned(), to_f32(&head.gradient(&store)?)?),
            ])
        });
    }
}

#[test]
fn prototypes_and_adam_on_a_real_gpu_are_the_cpus() {
    for (per_sample, on_sphere, debias) in [(true, true, false), (false, false, true)] {
        let settings = PrototypeSettings { momentum: vec![0.9, 0.5, 0.99, 0.0], per_sample, on_sphere, debias };
        compare(|compute| {
            let mut bank = PrototypeBank::new(settings.clone(), 5, DType::F32)?;
            move_state(bank.state(), compute)?;
            let features = tensor(compute, "z", &[LABELS.len(), 5])?;
            bank.update(&features, &LABELS)?;
            bank.update(&(&features * 2.0)?, &LABELS[..6])?;
            let unit = UnitRows::of(&features)?;
            let weights = tensor(compute, "theta", &[7])?;
            let mut adam = Adam::new(AdamSettings { weight_decay: 0.1, ..Default::default() }, &weights)?;
            for purpose in ["first", "second"] {
                adam.step(0.01, &weights, &tensor(compute, purpose, &[7])?)?;
            }
            Ok(vec![
                ("prototypes".to_owned(), to_f32(&bank.current()?)?),
                ("unit rows".to_owned(), to_f32(&unit.rows)?),
                ("norms".to_owned(), to_f32(&unit.norms)?),
                ("tangent".to_owned(), to_f32(&unit.tangent(&tensor(compute, "dot", &[LABELS.len(), 5])?)?)?),
                ("weights".to_owned(), to_f32(&weights)?),
            ])
        });
    }
}
