//! The network on a GPU against the one on the CPU: on an emulated device everywhere a C++ compiler is, which tests all but the
//! libraries' convolutions and the device itself.

use longtail_backbone::gpu::{GpuNetwork, GpuTape};
use longtail_backbone::{Architecture, BackboneError, ImageShape, Network, NormMode, Tape};
use longtail_ops::gpu::{Driver, Element, Emulated, GpuVec};
use longtail_ops::{Real, normal, stream};

fn emulated() -> Option<Emulated> {
    Emulated::compile(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))).map_err(|why| println!("skipped: {why}")).ok()
}

fn normals(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = stream(seed, "gpu test", 0, 0);
    (0..len).map(|_| normal(&mut rng) as f32).collect()
}

/// Largest difference over the largest number.
fn relative(found: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let largest = exact.iter().fold(0f64, |most, v| most.max(v.abs()));
    let difference = found.iter().zip(exact).fold(0f64, |most, (a, b)| most.max((f64::from(*a) - b).abs()));
    difference / largest.max(1e-30)
}

/// All results of one network at one point.
#[derive(Debug, Default, PartialEq)]
struct Results<T> {
    inferred: Vec<T>,
    features: Vec<T>,
    running: Vec<T>,
    gradient: Vec<T>,
    tangent: Vec<T>,
}

/// What goes in.
struct Point {
    architecture: Architecture,
    image: ImageShape,
    n: usize,
    mode: NormMode,
    params: Vec<f32>,
    running: Vec<f32>,
    images: Vec<f32>,
    dfeatures: Vec<f32>,
    direction: Vec<f32>,
}

impl Point {
    fn new(architecture: Architecture, image: ImageShape, n: usize, mode: NormMode) -> Self {
        let network = Network::<f32>::new(&architecture, image).expect("known");
        let (mut params, mut running) = network.init(&mut stream(3, "gpu test", 0, 0));
        // γ and β that are not 1 and 0, running statistics that are not 0 and 1.
        params.iter_mut().zip(normals(1, network.params().len())).for_each(|(p, noise)| *p += 0.02 * noise);
        running.iter_mut().zip(normals(2, network.buffers().len())).for_each(|(r, noise)| *r += 0.1 * noise.abs());
        Self {
            images: normals(4, n * image.len()),
            dfeatures: normals(5, n * network.feature_dim()),
            direction: normals(6, params.len()),
            architecture,
            image,
            n,
            mode,
            params,
            running,
        }
    }

    fn on_cpu<T: Real>(&self) -> Results<T> {
        let of = |values: &[f32]| values.iter().map(|v| T::from_f64(f64::from(*v))).collect::<Vec<T>>();
        let mut network = Network::<T>::new(&self.architecture, self.image).expect("known");
        let (params, images, n) = (of(&self.params), of(&self.images), self.n);
        let zeros = |len: usize| vec![T::ZERO; len];
        let (features, weights) = (self.dfeatures.len(), params.len());
        let mut results = Results { running: of(&self.running), inferred: zeros(features), ..Results::default() };
        network.infer(&params, &results.running, &images, n, &mut results.inferred).expect("fits");
        let mut tape = Tape::default();
        network.forward(&params, &mut results.running, &images, n, self.mode, &mut tape).expect("fits");
        (results.gradient, results.tangent) = (zeros(weights), zeros(features));
        network.backward(&params, &tape, &of(&self.dfeatures), &mut results.gradient).expect("fits");
        network.jvp(&params, &tape, &of(&self.direction), &mut results.tangent).expect("fits");
        results.features = tape.features().to_vec();
        results
    }

    fn on_gpu<D: Driver>(
        &self,
        driver: D,
        element: Element,
        checkpointing: bool,
    ) -> Result<Results<f32>, BackboneError> {
        let mut network = GpuNetwork::with_element(driver, &self.architecture, self.image, element)?;
        network.set_checkpointing(checkpointing);
        let (params, direction) = (network.upload_params(&self.params)?, network.upload_params(&self.direction)?);
        let mut running = GpuVec::of(network.driver(), &self.running)?;
        let images = GpuVec::of(network.driver(), &self.images)?;
        let dfeatures = GpuVec::of(network.driver(), &self.dfeatures)?;
        let mut inferred = GpuVec::zeros(network.driver(), self.dfeatures.len())?;
        network.infer(params.view(), running.view_mut(), images.view(), self.n, inferred.view_mut())?;
        let mut tape = GpuTape::new(&network)?;
        network.forward(params.view(), running.view_mut(), images.view(), self.n, self.mode, &mut tape)?;
        let mut gradient = GpuVec::zeros(network.driver(), self.params.len())?;
        let mut tangent = GpuVec::zeros(network.driver(), self.dfeatures.len())?;
        network.backward(params.view(), &tape, dfeatures.view(), gradient.view_mut())?;
        network.jvp(params.view(), &tape, direction.view(), tangent.view_mut())?;
        // Again: a tape is only read, and all that was there is overwritten.
        let once = gradient.to_vec(network.driver())?;
        network.backward(params.view(), &tape, dfeatures.view(), gradient.view_mut())?;
        assert_eq!(gradient.to_vec(network.driver())?, once, "the same bits");
        Ok(Results {
            inferred: inferred.to_vec(network.driver())?,
            features: tape.features().to_vec(network.driver())?,
            running: running.to_vec(network.driver())?,
            gradient: network.from_device_order(&gradient.to_vec(network.driver())?)?,
            tangent: tangent.to_vec(network.driver())?,
        })
    }

    /// Both f32 results against f64: the device's may be a few times as far off as the CPU's.
    fn compare<D: Driver>(&self, driver: D) {
        let (exact, cpu) = (self.on_cpu::<f64>(), self.on_cpu::<f32>());
        let gpu = self.on_gpu(driver, Element::F32, false).expect("a pass");
        for (what, gpu, cpu, exact) in [
            ("infer", &gpu.inferred, &cpu.inferred, &exact.inferred),
            ("features", &gpu.features, &cpu.features, &exact.features),
            ("running", &gpu.running, &cpu.running, &exact.running),
            ("gradient", &gpu.gradient, &cpu.gradient, &exact.gradient),
            ("tangent", &gpu.tangent, &cpu.tangent, &exact.tangent),
        ] {
            let (gpu, cpu) = (relative(gpu, exact), relative(cpu, exact));
            println!("{} {what}: {gpu:.1e} from f64, the CPU's f32 {cpu:.1e}", self.architecture);
            assert!(gpu < 4.0 * cpu + 1e-6, "{what}: {gpu}, but {cpu} on the CPU");
        }
    }
}

impl Point {
    /// In bfloat16, whose steps are 1/256 of a number: far off f32's results, near to f64's. Gradients and tangents are off by more, as
    /// some of a hundred ReLUs stand at the other side: of a share p by √p.
    fn compare_bf16<D: Driver>(&self, driver: D) {
        let exact = self.on_cpu::<f64>();
        let gpu = self.on_gpu(driver, Element::Bf16, false).expect("a pass");
        for (what, gpu, exact, most) in [
            ("infer", &gpu.inferred, &exact.inferred, 0.03),
            ("features", &gpu.features, &exact.features, 0.03),
            ("running", &gpu.running, &exact.running, 0.01),
            ("gradient", &gpu.gradient, &exact.gradient, 0.3),
            ("tangent", &gpu.tangent, &exact.tangent, 0.3),
        ] {
            let (found, mean) = (relative(gpu, exact), root_mean_square(gpu, exact));
            println!("{} {what} in bfloat16: {found:.1e} from f64, {mean:.1e} in the mean", self.architecture);
            assert!(mean < most, "{what}: {mean}");
            assert!(found > 1e-5 || what == "running", "{what}: {found} is too good for bfloat16");
        }
    }
}

/// Root of the mean squared difference over that of the mean square.
fn root_mean_square(found: &[f32], exact: &[f64]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let difference = square(&mut found.iter().zip(exact).map(|(a, b)| f64::from(*a) - b));
    (difference / square(&mut exact.iter().copied()).max(1e-300)).sqrt()
}

/// The GPU of this machine, without TF32.
#[cfg(feature = "cuda")]
fn cuda() -> Option<longtail_ops::gpu::Cuda> {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    Cuda::open(0, CudaSettings { tf32: false }).map_err(|why| println!("skipped: {why}")).ok()
}

#[cfg(feature = "cuda")]
#[test]
fn on_a_real_gpu() {
    for (architecture, image, n) in [
        (Architecture::CifarResNet { depth: 8 }, SMALL, 3),
        (Architecture::CifarResNet { depth: 32 }, ImageShape { height: 32, width: 32, channels: 3 }, 64),
        (Architecture::CifarResNetTwoHeaded { depth: 14 }, SMALL, 16),
        (Architecture::ResNeXt50, ImageShape { height: 64, width: 64, channels: 3 }, 8),
    ] {
        for mode in [NormMode::Batch { track: true }, NormMode::Running] {
            let Some(driver) = cuda() else { return };
            Point::new(architecture, image, n, mode).compare(driver);
            let Some(driver) = cuda() else { return };
            Point::new(architecture, image, n, mode).compare_bf16(driver);
        }
    }
}

const SMALL: ImageShape = ImageShape { height: 9, width: 8, channels: 3 };

#[test]
fn a_small_resnet_in_every_mode() {
    for mode in [NormMode::Batch { track: true }, NormMode::Batch { track: false }, NormMode::Running] {
        let Some(driver) = emulated() else { return };
        Point::new(Architecture::CifarResNet { depth: 8 }, SMALL, 3, mode).compare(driver);
    }
}

#[test]
fn activations_in_bfloat16() {
    for mode in [NormMode::Batch { track: true }, NormMode::Running] {
        let Some(driver) = emulated() else { return };
        Point::new(Architecture::CifarResNet { depth: 8 }, SMALL, 8, mode).compare_bf16(driver);
    }
    let Some(driver) = emulated() else { return };
    let mode = NormMode::Batch { track: true };
    Point::new(Architecture::CifarResNet { depth: 8 }, SMALL, 8, mode).compare_bf16(driver.by_patches());
    let Some(driver) = emulated() else { return };
    Point::new(Architecture::CifarResNetTwoHeaded { depth: 14 }, SMALL, 8, mode).compare_bf16(driver);
    let Some(driver) = emulated() else { return };
    let image = ImageShape { height: 32, width: 33, channels: 3 };
    Point::new(Architecture::ResNeXt50, image, 2, NormMode::Running).compare_bf16(driver);
}

#[test]
fn convolutions_by_patches() {
    let Some(driver) = emulated() else { return };
    let mode = NormMode::Batch { track: true };
    Point::new(Architecture::CifarResNet { depth: 8 }, SMALL, 2, mode).compare(driver.by_patches());
}

#[test]
fn two_heads_side_by_side() {
    let Some(driver) = emulated() else { return };
    let mode = NormMode::Batch { track: true };
    Point::new(Architecture::CifarResNetTwoHeaded { depth: 14 }, SMALL, 3, mode).compare(driver);
}

#[test]
fn groups_and_a_max_pool() {
    let Some(driver) = emulated() else { return };
    // Running statistics: at this size batch norm on the batch makes f32 as good as blind.
    let image = ImageShape { height: 32, width: 33, channels: 3 };
    Point::new(Architecture::ResNeXt50, image, 2, NormMode::Running).compare(driver);
}

#[test]
fn activation_checkpointing_changes_no_bit() {
    let photo = ImageShape { height: 8, width: 9, channels: 3 };
    for (architecture, image, n, element) in [
        (Architecture::CifarResNet { depth: 8 }, SMALL, 3, Element::F32),
        (Architecture::CifarResNet { depth: 8 }, SMALL, 2, Element::Bf16),
        (Architecture::CifarResNetTwoHeaded { depth: 14 }, SMALL, 2, Element::F32),
        (Architecture::ResNeXt50, photo, 2, Element::F32),
    ] {
        let Some(driver) = emulated() else { return };
        let driver = std::rc::Rc::new(driver);
        let point = Point::new(architecture, image, n, NormMode::Batch { track: true });
        let [whole, cut] =
            [false, true].map(|cut| point.on_gpu(std::rc::Rc::clone(&driver), element, cut).expect("a pass"));
        assert!(whole == cut, "{architecture} in {element:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(driver) = emulated() else { return };
    let mut gpu = GpuNetwork::new(driver, &Architecture::CifarResNet { depth: 8 }, SMALL).expect("known");
    let tape = GpuTape::new(&gpu).expect("room");
    let params = GpuVec::<f32, Emulated>::zeros(gpu.driver(), gpu.params().len()).expect("room");
    let mut gradient = GpuVec::zeros(gpu.driver(), gpu.params().len()).expect("room");
    let problem =
        gpu.backward(params.view(), &tape, params.view().part(0..0), gradient.view_mut()).expect_err("no pass");
    assert!(problem.to_string().contains("no forward pass yet"), "{problem}");
    assert!(gpu.upload_params(&[0.0]).is_err());
    let (mut tape, mut running) = (tape, GpuVec::zeros(gpu.driver(), gpu.buffers().len()).expect("room"));
    let images = GpuVec::of(gpu.driver(), &normals(4, SMALL.len())).expect("room");
    let mode = NormMode::Batch { track: false };
    gpu.forward(params.view(), running.view_mut(), images.view(), 1, mode, &mut tape).expect("fits");
    gpu.set_checkpointing(true);
    let dfeatures = GpuVec::zeros(gpu.driver(), gpu.feature_dim()).expect("room");
    let problem = gpu.backward(params.view(), &tape, dfeatures.view(), gradient.view_mut()).expect_err("another tape");
    assert!(problem.to_string().contains("with activation checkpointing"), "{problem}");
}
