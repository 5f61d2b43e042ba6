//! Our networks: a training step, plain or bi-level, and the features of a batch.

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use longtail_artifact::Device;
use longtail_backbone::{Architecture, ImageShape};
use longtail_ops::gpu::Element;
use longtail_recipe::{CudaPrecision, Jvp, MetaBn, MetaOptimizer, MetaScale, VirtualStep};
use longtail_representation::RepresentationError;
use longtail_representation::method::{MetaBatches, Method, Mpcl, MpclSettings};
use longtail_representation::stage::element;
use longtail_training::prototype::{MetaNetwork, PrototypeSettings};
use longtail_training::step::MicroBatch;
use longtail_training::{
    AdamSettings, Compute, CrossEntropy, EpochMeter, Feed, HeadForm, ImageBatch, Log, Model, Pending, Sgd, SgdSettings,
    Step, StepAt, move_state, to_f32,
};

use crate::case::{Absent, Case, Repetition, timed};
use crate::ops::noise;

/// The same batch whenever one is asked for: reading images is not what is timed.
struct OneBatch(ImageBatch);

impl MetaBatches for OneBatch {
    fn batch(&self, _index: u64) -> Result<ImageBatch, RepresentationError> {
        Ok(self.0.clone())
    }
}

/// The case's network with a linear head.
fn model(case: &Case) -> Result<Model> {
    let (name, size) = (case.word("net")?, case.number("size")?);
    let image = ImageShape { height: size, width: size, channels: 3 };
    let architecture: Architecture = name.parse().map_err(|_| Absent(format!("this build has no network `{name}`")))?;
    let model = Model::new(&architecture, image, HeadForm::Linear, case.number("classes")?, 0, DType::F32)?;
    // `resnet50` may mean the 50-layer network for small images.
    let (found, asked) = (model.network.feature_dim(), case.number("features")?);
    if found != asked {
        return Err(Absent(format!("this build's `{name}` has {found} features, not {asked}")).into());
    }
    Ok(model)
}

fn batch(case: &Case, compute: &Compute, feed: Feed, purpose: &str) -> Result<ImageBatch> {
    let (n, size, classes) = (case.number("batch")?, case.number("size")?, case.number("classes")?);
    let images = Tensor::from_vec(noise(purpose, n * size * size * 3), (n, size, size, 3), compute.device())?;
    Ok(ImageBatch::new(feed, images, (0..n).map(|index| (index % classes) as u32).collect()))
}

/// Forward, backward and update: cross-entropy (`step`), or the bi-level step with an equal meta batch (`mpcl`).
pub fn step(case: &Case) -> Result<Repetition> {
    let (compute, element) = place(case)?;
    let model = model(case)?.on(&compute, element)?;
    let sgd = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
    let optimizer = Sgd::new(sgd, &model.weights, None)?;
    let mut trained = Step::new(model, optimizer, MicroBatch::WHOLE);
    // Every step timed is one of epoch 0; the bi-level part begins there, or after it.
    let first_epoch = usize::from(case.kind == "step");
    let settings = mpcl_settings(first_epoch, case.number("classes")?, trained.model.network.feature_dim());
    let meta = OneBatch(batch(case, &compute, Feed::Side, "bench/meta-images")?);
    let mut method = Mpcl::new(settings, Some(Box::new(meta)), 0, DType::F32)?;
    move_state(method.state(), &compute)?;
    let train = batch(case, &compute, Feed::Train, "bench/images")?;
    let (mut meter, mut pending) = (EpochMeter::default(), Pending::default());
    let mut steps = 0;
    Ok(Box::new(move || {
        let at = StepAt { epoch: 0, step: steps, epoch_fraction: 0.0, lr: 1e-3, relative_lr: 1.0 };
        steps += 1;
        timed(|| {
            method.step(&mut trained, &train, &at, &mut Log::deferred(&mut meter, &mut pending, at))?;
            Ok::<_, RepresentationError>(pending.fetch(&mut meter)?) // waits for a GPU
        })
    }))
}

/// Where the case runs, prepared, and what activations are stored in there.
fn place(case: &Case) -> Result<(Compute, Element)> {
    if !case.is_on_gpu() {
        return Ok((Compute::cpu(), Element::F32));
    }
    let precision = match case.word("precision")? {
        "bf16" => CudaPrecision::Bf16,
        "tf32" => CudaPrecision::Tf32,
        _ => CudaPrecision::F32,
    };
    let opened = Compute::open(Device::Cuda(0), "representation");
    let compute = opened.and_then(|compute| compute.prepare(precision == CudaPrecision::Tf32).map(|()| compute));
    Ok((compute.map_err(|error| Absent(error.to_string()))?, element(precision)))
}

fn mpcl_settings(first_epoch: usize, classes: usize, feature_dim: usize) -> MpclSettings {
    MpclSettings {
        loss: Arc::new(CrossEntropy::default()),
        meta_classification: Arc::new(CrossEntropy::default()),
        use_meta: true,
        lambda: 0.5,
        lambda_ramp_epochs: 0,
        tau: 0.07,
        first_epoch,
        pc_warm: false,
        prototypes: PrototypeSettings {
            momentum: vec![0.999; classes],
            per_sample: true,
            on_sphere: true,
            debias: false,
        },
        ema_after_tth: true,
        network: MetaNetwork::new(feature_dim, feature_dim.min(512), true, 180.0),
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

/// Features of a batch under running statistics.
pub fn infer(case: &Case) -> Result<Repetition> {
    let mut model = model(case)?;
    let n = case.number("batch")?;
    let images = batch(case, &Compute::cpu(), Feed::Side, "bench/images")?.images;
    if case.is_on_gpu() {
        return gpu_infer(case, &model, to_f32(&images)?, n);
    }
    Ok(Box::new(move || timed(|| model.infer(&images).map(drop)).context("inference")))
}

#[cfg(feature = "cuda")]
fn gpu_infer(case: &Case, model: &Model, images: Vec<f32>, n: usize) -> Result<Repetition> {
    use longtail_artifact::Device;
    use longtail_backbone::gpu::GpuNetwork;
    use longtail_ops::gpu::{CudaSettings, Element, GpuVec};
    use longtail_training::Compute;
    let (tf32, element) = match case.word("precision")? {
        "tf32" => (true, Element::F32),
        "bf16" => (false, Element::Bf16),
        _ => (false, Element::F32),
    };
    let compute = Compute::open(Device::Cuda(0), "features").map_err(|error| Absent(error.to_string()))?;
    let driver = compute.driver(CudaSettings { tf32 }).map_err(|error| Absent(error.to_string()))?;
    let mut network = GpuNetwork::with_element(driver, model.network.architecture(), model.network.image(), element)?;
    let params = network.upload_params(&to_f32(&model.backbone_weights()?)?)?;
    let mut running = GpuVec::of(network.driver(), &to_f32(&model.running)?)?;
    // The images lie there, as they do on the other side.
    let images = GpuVec::of(network.driver(), &images)?;
    let mut features = GpuVec::zeros(network.driver(), n * network.feature_dim())?;
    Ok(Box::new(move || {
        timed(|| {
            network.infer(params.view(), running.view_mut(), images.view(), n, features.view_mut())?;
            let last = features.view().part(0..1).to_vec(network.driver())?; // waits for the device
            anyhow::ensure!(last[0].is_finite(), "a feature is {}", last[0]);
            Ok(())
        })
    }))
}

#[cfg(not(feature = "cuda"))]
fn gpu_infer(_: &Case, _: &Model, _: Vec<f32>, _: usize) -> Result<Repetition> {
    Err(Absent("this build has no CUDA".to_owned()).into())
}
