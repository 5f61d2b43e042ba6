//! Features on a device against those of the CPU: an emulated device everywhere a C++ compiler is, a GPU where there is one.

use std::path::Path;

use longtail_artifact::{NamedTensor, TensorData, write_tensors};
use longtail_backbone::{Architecture, ImageShape, Network, to_tensors};
use longtail_features::FrozenBackbone;
use longtail_ops::gpu::{Driver, Emulated};
use longtail_ops::{normal, stream};
use serde_json::json;

const N: usize = 3;

/// A `backbone.safetensors` as stage 1 writes it, with running statistics that are not those of the start.
fn backbone_file(path: &Path, architecture: &Architecture, image: ImageShape) {
    let network = Network::<f32>::new(architecture, image).expect("known");
    let (weights, mut running) = network.init(&mut stream(3, "device test", 0, 0));
    let mut rng = stream(4, "device test", 0, 0);
    running.iter_mut().for_each(|value| *value += 0.1 * normal(&mut rng).abs() as f32);
    let tensors: Vec<NamedTensor> = to_tensors(&network, &weights, &running)
        .into_iter()
        .map(|(name, shape, values)| NamedTensor { name, shape, data: TensorData::F32(values) })
        .collect();
    let image = json!({"h": image.height, "w": image.width, "c": image.channels});
    let metadata = json!({"architecture": architecture.to_string(), "image": image});
    write_tensors(path, &tensors, &metadata).expect("a file");
}

fn compare<D: Driver + 'static>(driver: impl Fn() -> D) {
    for (architecture, side) in [(Architecture::CifarResNet { depth: 8 }, 12), (Architecture::ResNeXt50, 32)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("backbone.safetensors");
        let image = ImageShape { height: side, width: side, channels: 3 };
        backbone_file(&path, &architecture, image);
        let mut rng = stream(5, "device test", 0, 0);
        let images: Vec<f32> = (0..N * image.len()).map(|_| normal(&mut rng) as f32).collect();
        let mut backbone = FrozenBackbone::open(&path).expect("as stage 1 writes it");
        let on_cpu = backbone.features(&images, N).expect("sizes fit");
        backbone.move_to(driver()).expect("room");
        let largest = on_cpu.iter().fold(0f32, |most, value| most.max(value.abs()));
        // A smaller batch after a larger one: what is left of the larger is not seen.
        for n in [N, 1] {
            let found = backbone.features(&images[..n * image.len()], n).expect("sizes fit");
            assert_eq!(found.len(), n * backbone.feature_dim());
            let off = found.iter().zip(&on_cpu).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(off <= 2e-5 * largest, "{architecture:?}: {off} of {largest}");
        }
        assert!(backbone.features(&images, N + 1).is_err(), "too few images are refused");
    }
}

#[test]
fn an_emulated_device_gives_the_cpus_features() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match Emulated::compile(folder) {
        Ok(_) => compare(|| Emulated::compile(folder).expect("it did a moment ago")),
        Err(why) => println!("skipped: {why}"),
    }
}

#[cfg(feature = "cuda")]
#[test]
fn a_gpu_gives_the_cpus_features() {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    match Cuda::open(0, CudaSettings { tf32: false }) {
        Ok(_) => compare(|| Cuda::open(0, CudaSettings { tf32: false }).expect("it did a moment ago")),
        Err(why) => println!("skipped: {why}"),
    }
}
