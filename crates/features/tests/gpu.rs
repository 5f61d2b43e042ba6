//! Dumps made on a GPU against the CPU's: on an emulated device wherever a C++ compiler is, on a real one where there is one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longtail_artifact::{Device, TensorFile};
use longtail_backbone::{Architecture, ImageShape, Network, SavedBackbone, save_backbone};
use longtail_datasets::{EvalLoader, ImageSet, Transform};
use longtail_features::{Dump, DumpRun, FrozenBackbone};
use longtail_ops::gpu::Emulated;
use longtail_ops::{below, stream};
use longtail_recipe::{Recipe, read_str};
use serde_json::{Map, json};

const RECIPE: &str = "
recipe: dump
description: a few images, for tests
data: {dataset: fashion_mnist, imbalance_factor: 10, max_per_class: 12, meta_per_class: 2}
representations:
  ce: {method: {ce: {}}, backbone: {cifar_resnet: 8}, epochs: 1}
classifiers: {joint: {joint: {}}}
";
const IMAGE: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };
/// Two batches and a smaller one.
const IMAGES: u32 = 19;
const BATCH: usize = 8;

/// Of ten classes, each with a bright stripe; no file is needed.
fn images() -> Arc<ImageSet> {
    let mut rng = stream(3, "test/images", 0, 0);
    let count = 3 * IMAGES as usize + 1;
    Arc::new(ImageSet {
        images: (0..count * IMAGE.len())
            .map(|at| (below(&mut rng, 128) + if at % 28 / 3 == at / IMAGE.len() % 10 { 127 } else { 0 }) as u8)
            .collect::<Vec<_>>()
            .into(),
        labels: (0..count as u32).map(|index| index % 10).collect(),
        height: IMAGE.height,
        width: IMAGE.width,
        channels: IMAGE.channels,
        num_classes: 10,
        class_names: (0..10).map(|class| class.to_string()).collect(),
    })
}

struct Bench {
    folder: tempfile::TempDir,
    recipe: Recipe,
    images: Arc<ImageSet>,
}

impl Bench {
    fn new() -> Self {
        let recipe = read_str(RECIPE, "dump.yaml", &[]).expect("resolves");
        let bench = Self { folder: tempfile::tempdir().expect("a temporary folder"), recipe, images: images() };
        let network = Network::<f32>::new(&Architecture::CifarResNet { depth: 8 }, IMAGE).expect("builds");
        let (params, mut running) = network.init(&mut stream(1, "test", 0, 0));
        // Statistics that are not 0 and 1, all different.
        running.iter_mut().enumerate().for_each(|(at, value)| *value += 0.01 * (at % 37) as f32);
        save_backbone(&bench.backbone(), &network, &params, &running, &Map::new()).expect("writable");
        bench
    }

    fn backbone(&self) -> PathBuf {
        self.folder.path().join("backbone.safetensors")
    }

    fn loader(&self) -> EvalLoader {
        let images = Arc::clone(&self.images);
        let transform = Transform::eval(&self.recipe.data, images.shape()).expect("fits");
        let indices = (0..IMAGES).map(|index| 3 * index + 1).collect();
        EvalLoader::new(images, indices, transform, BATCH, 2).expect("fits")
    }

    /// The dump's file and its features.
    fn dump(&self, name: &str, mut backbone: FrozenBackbone) -> (TensorFile, Vec<f32>) {
        let path = self.folder.path().join(name).with_extension("safetensors");
        let dump = Dump {
            name: "train".to_owned(),
            loader: self.loader(),
            from_test: false,
            class_counts: &[1, 2, 3],
            transforms: json!("none"),
        };
        let run = DumpRun::begin(&dump, &backbone, &path, None).expect("begins");
        run.finish(&mut backbone, |_| Ok(()), |_| {}).expect("finishes");
        let file = TensorFile::open(&path).expect("whole");
        let features = file
            .expect_f32("features", &[Some(IMAGES as usize), Some(backbone.feature_dim())])
            .expect("finite")
            .to_vec();
        (file, features)
    }

    /// The same features in f64.
    fn exact(&self) -> Vec<f64> {
        let saved = SavedBackbone::open(&self.backbone()).expect("sound");
        let mut network = Network::<f64>::new(saved.network.architecture(), IMAGE).expect("builds");
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let (params, running) = (wide(&saved.params), wide(&saved.running));
        let mut features = Vec::new();
        for batch in self.loader().iter_from(0) {
            let batch = batch.expect("readable");
            let mut rows = vec![0.0; batch.len * network.feature_dim()];
            network.infer(&params, &running, &wide(&batch.images), batch.len, &mut rows).expect("fits");
            features.extend(rows);
        }
        features
    }

    /// The device's dump is the CPU's but for roundings: at most four times as far from f64, relative to the largest feature, and
    /// never further than 10⁻⁵.
    fn compare(&self, name: &str, on_gpu: FrozenBackbone) {
        let on_cpu = FrozenBackbone::open(&self.backbone()).expect("sound");
        let ((cpu_file, cpu), (gpu_file, gpu)) = (self.dump(&format!("{name}-cpu"), on_cpu), self.dump(name, on_gpu));
        assert_eq!(cpu_file.metadata(), gpu_file.metadata());
        for tensor in ["labels", "indices", "class_counts"] {
            let of = |file: &TensorFile| file.expect_u32(tensor, &[None]).expect("there");
            assert_eq!(of(&cpu_file), of(&gpu_file), "{tensor}");
        }
        let exact = self.exact();
        let largest = exact.iter().fold(0f64, |most, value| most.max(value.abs()));
        assert!(largest > 0.1, "features that say something: {largest}");
        let error = |found: &[f32]| {
            assert_eq!(found.len(), exact.len());
            found.iter().zip(&exact).fold(0f64, |most, (a, b)| most.max((f64::from(*a) - b).abs())) / largest
        };
        let (cpu, gpu) = (error(&cpu), error(&gpu));
        println!("{name}: {gpu:.1e} from f64, the CPU {cpu:.1e}");
        assert!(gpu < 4.0 * cpu + 1e-6 && gpu < 1e-5, "{name}: {gpu}, the CPU {cpu}");
    }
}

fn emulated(folder: &Path) -> Option<Emulated> {
    Emulated::compile(folder).map_err(|why| println!("skipped: {why}")).ok()
}

#[test]
fn a_dump_on_an_emulated_device_is_the_cpus() {
    let bench = Bench::new();
    let Some(driver) = emulated(bench.folder.path()) else { return };
    let backbone = FrozenBackbone::open(&bench.backbone()).expect("sound").on_driver(driver).expect("room");
    bench.compare("emulated", backbone);
}

#[test]
fn smaller_and_larger_batches_share_the_devices_memory() {
    let bench = Bench::new();
    let Some(driver) = emulated(bench.folder.path()) else { return };
    let mut backbone = FrozenBackbone::open(&bench.backbone()).expect("sound").on_driver(driver).expect("room");
    let batch = bench.loader().iter_from(0).next().expect("one").expect("readable");
    let (dim, len) = (backbone.feature_dim(), IMAGE.len());
    let alone = backbone.features(&batch.images[..len], 1).expect("fits");
    let together = backbone.features(&batch.images, batch.len).expect("fits");
    assert_eq!(together.len(), batch.len * dim);
    assert_eq!(together[..dim], alone);
    let last = backbone.features(&batch.images[(batch.len - 1) * len..], 1).expect("fits");
    assert_eq!(together[(batch.len - 1) * dim..], last);
    assert_ne!(alone, last);
    // Started one after the other, taken in that order.
    assert_eq!(backbone.ahead(), 1);
    backbone.start(&batch.images[..len], 1).expect("fits");
    backbone.start(&batch.images, batch.len).expect("fits");
    backbone.start(&batch.images[(batch.len - 1) * len..], 1).expect("fits");
    for expected in [alone, together, last] {
        assert_eq!(backbone.take().expect("comes back"), Some(expected));
    }
    assert_eq!(backbone.take().expect("nothing to wait for"), None);
    assert!(backbone.features(&batch.images[..len], 2).is_err(), "too few images");
}

#[test]
fn a_real_gpus_dump_is_the_cpus() {
    let bench = Bench::new();
    let backbone = FrozenBackbone::open(&bench.backbone()).expect("sound");
    match backbone.on(Device::Cuda(0)) {
        Ok(backbone) => bench.compare("cuda", backbone),
        Err(why) if cfg!(feature = "cuda") => println!("skipped: {why}"),
        Err(why) => {
            println!("skipped on a device: {why}");
            assert!(why.to_string().contains("built without CUDA"), "{why}");
            assert!(why.hint().is_some_and(|hint| hint.contains("--features cudnn")), "it says how to build it");
        }
    }
}
