//! Stage 1's steps on a device against the CPU's in f64: on an emulated device everywhere a C++ compiler is. The device's f32 may be a
//! few times as far off as the CPU's own.

mod common;

use std::rc::Rc;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use common::{BATCH, CHANNELS, CLASSES, META_BATCH, SIDE, batch, pixels, settings};
use longtail_backbone::{Architecture, ImageShape};
use longtail_ops::gpu::{Driver, Element, Emulated};
use longtail_ops::{normal, stream};
use longtail_recipe::{Ema, EmaMomentum, EmaOrder, Jvp, MetaBn, MetaOptimizer, MetaScale, ProtoSpace, VirtualStep};
use longtail_representation::RepresentationError;
use longtail_representation::gpu::{DevicePlan, DeviceTrainer, GpuTrainer, Pixels};
use longtail_representation::method::{Ce, MetaBatches, Method, Mpcl, MpclSettings};
use longtail_training::loss::{balanced_softmax, class_balanced};
use longtail_training::prototype::PrototypeSettings;
use longtail_training::step::MicroBatch;
use longtail_training::{
    ClassificationLoss, CrossEntropy, EpochMeter, Feed, HeadForm, ImageBatch, Log, Model, Scalar, Sgd, SgdSettings,
    State, Step, StepAt, to_f32,
};

const COUNTS: [u32; CLASSES] = [30, 20, 9, 5, 2];
const STEPS: usize = 4;
/// Class 4 comes with the last step but one.
const LABELS: [[u32; BATCH]; STEPS] = [[0, 1, 1, 3, 0, 3], [2, 0, 1, 1, 0, 4], [4, 2, 3, 0, 1, 0], [0, 0, 3, 1, 2, 4]];

/// The meta batches of a type, by their number.
struct MetaImages<T>(std::marker::PhantomData<T>);

impl<T> MetaImages<T> {
    const NEW: Self = Self(std::marker::PhantomData);
}

impl<T: Scalar> MetaBatches for MetaImages<T> {
    fn batch(&self, index: u64) -> Result<ImageBatch, RepresentationError> {
        let (pixels, labels) = of_type::<T>(50 + index, META_BATCH);
        Ok(batch(Feed::Side, &pixels, &labels))
    }
}

/// Pixels of a type, by way of f32, so that all types see the same images; and labels.
fn of_type<T: Scalar>(seed: u64, n: usize) -> (Vec<T>, Vec<u32>) {
    let (pixels, labels) = pixels(seed, n);
    (pixels.iter().map(|&v| T::of(f64::from(v as f32))).collect(), labels)
}

/// The training batches' pixels.
fn batches<T: Scalar>() -> Vec<Vec<T>> {
    (0..STEPS).map(|step| of_type(20 + step as u64, BATCH).0).collect()
}

/// A method with its settings.
#[derive(Clone)]
struct Case {
    form: HeadForm,
    loss: Arc<dyn ClassificationLoss>,
    nesterov: bool,
    decays: bool,
    ema: Ema,
    mpcl: Option<MpclSettings>,
    micro: MicroBatch,
}

fn ema() -> Ema {
    longtail_recipe::read_str(
        "
data: {dataset: fashion_mnist}
representations: {r: {method: {ce: {}}, backbone: {cifar_resnet: 8}}}
classifiers: {joint: {joint: {}}}
",
        "gpu",
        &[],
    )
    .ok()
    .and_then(|recipe| match &recipe.representation("r").ok()?.method {
        longtail_recipe::RepresentationMethod::Ce(ce) => Some(ce.ema.clone()),
        _ => None,
    })
    .expect("the recipe is valid")
}

impl Case {
    fn ce(form: HeadForm) -> Self {
        let loss = Arc::new(CrossEntropy::default());
        Self { form, loss, nesterov: false, decays: false, ema: ema(), mpcl: None, micro: MicroBatch::WHOLE }
    }

    /// From the second step on, over prototypes of the first.
    fn mpcl(mut settings: MpclSettings) -> Self {
        settings.first_epoch = 1;
        Self { loss: settings.loss.clone(), mpcl: Some(settings), ..Self::ce(HeadForm::Linear) }
    }

    fn method<T: Scalar>(&self) -> Box<dyn Method> {
        match &self.mpcl {
            None => Box::new(Ce::new(&self.ema, 64, self.loss.clone(), &COUNTS, T::DTYPE).expect("memory")),
            Some(settings) => {
                let meta = Some(Box::new(MetaImages::<T>::NEW) as Box<dyn MetaBatches>);
                let mut mpcl = Mpcl::new(settings.clone(), meta, 3, T::DTYPE).expect("meta images");
                let (mut rng, len) = (stream(9, "gpu test", 0, 0), mpcl.theta().elem_count());
                let theta: Vec<T> = (0..len).map(|_| T::of(f64::from(0.3 * normal(&mut rng) as f32))).collect();
                let theta = Tensor::from_vec(theta, len, &Device::Cpu).expect("a vector");
                mpcl.set_theta(theta).expect("as long as before");
                Box::new(mpcl)
            }
        }
    }

    fn step<T: Scalar>(&self) -> Step {
        let image = ImageShape { height: SIDE, width: SIDE, channels: CHANNELS };
        let architecture = Architecture::CifarResNet { depth: 8 };
        let mut model = Model::new(&architecture, image, self.form, CLASSES, 7, T::DTYPE).expect("8 is 6·1 + 2");
        let weights = to_f32(&model.weights).expect("floats");
        let weights: Vec<T> = weights.into_iter().map(|w| T::of(f64::from(w))).collect();
        model.weights = Tensor::from_vec(weights, model.weights.elem_count(), &Device::Cpu).expect("a vector");
        let sgd = SgdSettings { momentum: 0.9, nesterov: self.nesterov, weight_decay: 5e-2 };
        let optimizer = Sgd::new(sgd, &model.weights, self.decays()).expect("memory");
        Step::new(model, optimizer, self.micro)
    }

    fn decays(&self) -> Option<Vec<std::ops::Range<usize>>> {
        self.decays.then(|| vec![0..7, 40..1000])
    }

    fn on_cpu<T: Scalar>(&self) -> Results {
        let (mut step, mut method, mut meter) = (self.step::<T>(), self.method::<T>(), EpochMeter::default());
        for (number, pixels) in batches::<T>().iter().enumerate() {
            let batch = batch(Feed::Train, pixels, &LABELS[number]);
            method.step(&mut step, &batch, &at(number), &mut Log::new(&mut meter, at(number))).expect("a step");
        }
        Results::of::<T>(&mut step, method.as_mut(), &meter)
    }

    fn on_gpu<D: Driver + Clone>(&self, driver: D, element: Element) -> Results {
        let (mut step, mut method, mut meter) = (self.step::<f32>(), self.method::<f32>(), EpochMeter::default());
        let prototypes = match &self.mpcl {
            Some(settings) => settings.prototypes.clone(),
            None => PrototypeSettings::from_recipe(&self.ema, &COUNTS),
        };
        let plan = |step: &Step| DevicePlan {
            loss: self.loss.clone(),
            prototypes: prototypes.clone(),
            mpcl: self.mpcl.clone(),
            meta: Some(Rc::new(MetaImages::<f32>::NEW)),
            sgd: step.optimizer().settings(),
            decays: self.decays(),
            micro: self.micro,
            element,
            stored: None,
        };
        let mut trainer = GpuTrainer::new(driver.clone(), &step.model, plan(&step)).expect("it runs on a device");
        let mut fresh = GpuTrainer::new(driver, &step.model, plan(&step)).expect("it runs on a device");
        trainer.load(&mut step, method.as_mut()).expect("sizes fit");
        for (number, pixels) in batches::<f32>().iter().enumerate() {
            trainer.step(Pixels::Values(pixels), &LABELS[number], &at(number), &mut meter).expect("a step");
            if number == 1 {
                // Away and back, as a checkpoint does it, and on another device.
                trainer.finish(&mut meter).expect("finite");
                trainer.store(&mut step, method.as_mut()).expect("the same sizes");
                fresh.load(&mut step, method.as_mut()).expect("sizes fit");
                std::mem::swap(&mut trainer, &mut fresh);
            }
        }
        trainer.finish(&mut meter).expect("finite");
        trainer.store(&mut step, method.as_mut()).expect("the same sizes");
        let results = Results::of::<f32>(&mut step, method.as_mut(), &meter);
        let (all, labels) = of_type::<f32>(90, 9);
        let found = trainer.predict(Pixels::Values(&all), 9).expect("sizes fit");
        let features = step.model.infer(&batch(Feed::Side, &all, &labels).images).expect("sizes fit");
        let features = to_f32(&features).expect("f32");
        let logits = step.model.head_file().expect("a head").logits(&features).expect("sizes fit");
        if element == Element::F32 {
            assert_eq!(found, longtail_training::argmax_rows(&logits, CLASSES));
        }
        results
    }

    fn compare<D: Driver + Clone>(&self, name: &str, driver: D) {
        let (exact, cpu, gpu) = (self.on_cpu::<f64>(), self.on_cpu::<f32>(), self.on_gpu(driver, Element::F32));
        for ((what, exact), ((_, cpu), (_, gpu))) in exact.values.iter().zip(cpu.values.iter().zip(&gpu.values)) {
            let (cpu, gpu) = (relative(cpu, exact), relative(gpu, exact));
            assert!(gpu <= 6.0 * cpu + 2e-6, "{name}: {what}: {gpu:e} off, the CPU's f32 {cpu:e}");
        }
        let names = |results: &Results| {
            results.meter.means().map(|(name, unit, _)| format!("{name} {unit}")).collect::<Vec<_>>()
        };
        assert_eq!(names(&gpu), names(&exact), "{name}");
        for (what, _, exact) in exact.meter.means() {
            let of = |results: &Results| results.meter.mean(what).expect("the same names");
            let (off, cpu) = ((of(&gpu) - exact).abs(), (of(&cpu) - exact).abs());
            assert!(off <= 6.0 * cpu + 2e-5 * exact.abs().max(0.1), "{name}: {what}: {} for {exact}", of(&gpu));
        }
    }
}

impl Case {
    /// With activations in bfloat16: what is measured is near, and no step leads anywhere else.
    fn compare_bf16<D: Driver + Clone>(&self, name: &str, driver: D) {
        let (exact, gpu) = (self.on_cpu::<f64>(), self.on_gpu(driver, Element::Bf16));
        for ((what, exact), (_, gpu)) in exact.values.iter().zip(&gpu.values) {
            let off = relative(gpu, exact);
            println!("{name}: {what} in bfloat16: {off:.1e} off");
            let most = if *what == "momentum" { 0.3 } else { 0.1 }; // a sum of gradients
            assert!(off < most, "{name}: {what}: {off:e} off");
            assert!(off > 1e-6 || *what == "seen", "{name}: {what}: {off:e} is too good for bfloat16");
        }
        for (what, _, exact) in exact.meter.means() {
            let found = gpu.meter.mean(what).expect("the same names");
            // A difference of two losses, and a derivative along a direction, are small numbers made of large ones.
            let most = if what.starts_with("train/") { 0.03 } else { 0.3 };
            println!("{name}: {what}: {found:.5} for {exact:.5}");
            assert!((found - exact).abs() <= most * exact.abs().max(0.1), "{name}: {what}: {found} for {exact}");
        }
    }
}

fn at(step: usize) -> StepAt {
    StepAt { epoch: step, step: step as u64, epoch_fraction: 0.0, lr: 0.1, relative_lr: 0.7 }
}

struct Results {
    values: Vec<(&'static str, Vec<f64>)>,
    meter: EpochMeter,
}

impl Results {
    fn of<T: Scalar>(step: &mut Step, method: &mut dyn Method, meter: &EpochMeter) -> Self {
        let wide = |tensor: &Tensor| T::values(tensor).expect("of T").iter().map(|v| v.wide()).collect::<Vec<f64>>();
        let export = method.prototypes().expect("prototypes");
        let mut values = vec![
            ("head", wide(&step.model.head_weights().expect("sizes fit"))),
            ("prototypes", wide(&export.empirical)),
            ("meta-prototypes", wide(&export.meta)),
            ("seen", export.seen.iter().map(|&seen| f64::from(seen)).collect()),
        ];
        for (name, state) in step.state() {
            let (State::Tensor(tensor) | State::Weights(tensor, _)) = state else { panic!("{name} is a tensor") };
            values.push((name, wide(tensor)));
        }
        Self { values, meter: meter.clone() }
    }
}

/// Largest difference over the largest number.
fn relative(found: &[f64], exact: &[f64]) -> f64 {
    let largest = exact.iter().fold(0f64, |most, v| most.max(v.abs()));
    let difference = found.iter().zip(exact).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
    difference / largest.max(1e-30)
}

/// Every case, each with its name.
fn cases() -> Vec<(&'static str, Case)> {
    let loss = Arc::new(class_balanced(&COUNTS, 0.99).expect("positive").with_smoothing(0.1));
    let mut raw_ema = ema();
    (raw_ema.space, raw_ema.order, raw_ema.debias, raw_ema.momentum) =
        (ProtoSpace::Raw, EmaOrder::BatchMean, true, EmaMomentum::PerClass(2.0));
    let form = HeadForm::Cosine { scale: 16.0 };
    let cosine = Case { loss, nesterov: true, decays: true, ema: raw_ema, ..Case::ce(form) };
    let loss = Arc::new(balanced_softmax(&COUNTS).expect("positive"));
    let balanced = Case { loss, ..Case::ce(HeadForm::Linear) };
    let empirical = MpclSettings { use_meta: false, lambda_ramp_epochs: 4, ..settings(true, 180.0) };
    let raw = PrototypeSettings { on_sphere: false, debias: true, ..settings(true, 15.0).prototypes };
    let literal = MpclSettings {
        prototypes: raw,
        theta_optimizer: MetaOptimizer::Sgd,
        follow_schedule: true,
        proximity: 0.3,
        scale: MetaScale::Unit,
        virtual_step: VirtualStep::Nesterov,
        meta_bn: MetaBn::Running,
        meta_classification: Arc::new(balanced_softmax(&COUNTS).expect("positive")),
        ..settings(false, 180.0)
    };
    // The batch of 6 as 3 and 3, the meta batch of 5 as 2 and 3.
    let micro = MicroBatch::new(3, BATCH);
    let (cosine_in_parts, literal_in_parts) = (cosine.clone(), literal.clone());
    let momentum = MpclSettings { virtual_step: VirtualStep::Momentum, meta_every: 2, ..settings(true, 180.0) };
    vec![
        ("cross-entropy, linear head", Case::ce(HeadForm::Linear)),
        ("cosine head, weighted, smoothed, Nesterov, raw prototypes", cosine),
        ("balanced softmax", balanced),
        ("empirical prototypes", Case::mpcl(empirical)),
        ("meta, residual, bounded", Case::mpcl(settings(true, 15.0))),
        ("meta, literal, raw, on running statistics", Case { nesterov: true, ..Case::mpcl(literal) }),
        ("in parts", Case { micro, ..cosine_in_parts }),
        ("meta, in parts", Case { micro, ..Case::mpcl(settings(true, 15.0)) }),
        ("meta on running statistics, in parts", Case { micro, nesterov: true, ..Case::mpcl(literal_in_parts) }),
        ("meta, momentum, cosine head", Case { form: HeadForm::Cosine { scale: 8.0 }, ..Case::mpcl(momentum) }),
    ]
}

#[test]
fn steps_on_an_emulated_device_are_the_cpus() {
    let driver = match Emulated::compile(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => Rc::new(driver),
        Err(why) => return println!("skipped: {why}"),
    };
    for (name, case) in cases() {
        case.compare(name, driver.clone());
    }
}

#[test]
fn steps_in_bfloat16_are_near_the_cpus() {
    let driver = match Emulated::compile(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => Rc::new(driver),
        Err(why) => return println!("skipped: {why}"),
    };
    Case::ce(HeadForm::Linear).compare_bf16("cross-entropy", driver.clone());
    Case::mpcl(settings(true, 15.0)).compare_bf16("meta", driver);
}

#[cfg(feature = "cuda")]
#[test]
fn steps_on_a_real_gpu_are_the_cpus() {
    use longtail_artifact::Device;
    use longtail_ops::gpu::CudaSettings;
    let opened = longtail_training::Compute::open(Device::Cuda(0), "representation");
    let driver = match opened.and_then(|compute| compute.driver(CudaSettings { tf32: false })) {
        Ok(driver) => Rc::new(driver),
        Err(why) => return println!("skipped: {why}"),
    };
    for (name, case) in cases() {
        case.compare(name, driver.clone());
    }
    Case::ce(HeadForm::Linear).compare_bf16("cross-entropy", driver.clone());
    Case::mpcl(settings(true, 15.0)).compare_bf16("meta", driver);
}

#[test]
fn what_does_not_run_on_a_device_is_said() {
    let Ok(driver) = Emulated::compile(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))) else {
        return println!("skipped: no C++ compiler");
    };
    let case = Case::mpcl(MpclSettings { jvp: Jvp::Central, ..settings(true, 180.0) });
    let step = case.step::<f32>();
    let plan = DevicePlan {
        loss: case.loss.clone(),
        prototypes: settings(true, 180.0).prototypes,
        mpcl: case.mpcl.clone(),
        meta: Some(Rc::new(MetaImages::<f32>::NEW)),
        sgd: step.optimizer().settings(),
        decays: None,
        micro: MicroBatch::WHOLE,
        element: Element::F32,
        stored: None,
    };
    let error = GpuTrainer::new(Rc::new(driver), &step.model, plan).err().expect("an error");
    assert!(error.to_string().contains("`jvp: central` does not run on a GPU"), "{error}");
    assert!(error.hint().is_some());
}
