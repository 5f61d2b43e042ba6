//! Stage 2 as its binary: files to files, up to date, resumed, refused.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use longtail_artifact::{Begin, BeginOptions, ImageMatch, RunLayout, StageRun, TensorFile, stage_specs};
use longtail_backbone::{Architecture, ImageShape, Network, save_backbone};
use longtail_datasets::{DataSource, Split, load};
use longtail_features::FrozenBackbone;
use longtail_recipe::{Recipe, read_str};
use serde_json::json;

const RECIPE: &str = "
recipe: dump
description: a few images, for tests
data: {dataset: fashion_mnist, imbalance_factor: 10, max_per_class: 12, meta_per_class: 2}
representations:
  ce: {method: {ce: {}}, backbone: {cifar_resnet: 8}, epochs: 1}
features: {views: 2, batch_size: 16}
classifiers: {joint: {joint: {}}}
";

/// A run folder with a recipe, a split and a backbone that nobody trained.
struct Run {
    _temporary: tempfile::TempDir,
    dir: PathBuf,
    recipe: Recipe,
    source: DataSource,
    split: Split,
}

impl Run {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let dir = temporary.path().join("seed-0");
        let recipe = read_str(RECIPE, "dump.yaml", &[]).expect("resolves");
        let layout = RunLayout::new(&dir);
        let source = load(recipe.data.dataset, None).expect("the embedded data");
        std::fs::create_dir_all(&dir).expect("writable");
        std::fs::write(layout.recipe(), recipe.to_yaml()).expect("writable");
        let split = Split::load_or_create(&layout, &recipe.data, &source).expect("draws");
        let run = Self { _temporary: temporary, dir, recipe, source, split };
        run.train(0);
        run
    }

    fn layout(&self) -> RunLayout {
        RunLayout::new(&self.dir)
    }

    /// Stage 1, but for the training: a backbone drawn from `seed`, under a manifest.
    fn train(&self, seed: u64) {
        let part = self.recipe.representation_part("ce").expect("there");
        let spec = stage_specs::representation(&self.layout(), &ImageMatch::Same, part, "cpu");
        let options = BeginOptions { force: true, ..BeginOptions::default() };
        let Begin::Run(stage) = StageRun::begin(&self.layout().representation("ce"), &spec, options).expect("free")
        else {
            panic!("forced");
        };
        let architecture = Architecture::CifarResNet { depth: 8 };
        let network =
            Network::<f32>::new(&architecture, ImageShape { height: 28, width: 28, channels: 1 }).expect("builds");
        let (params, running) = network.init(&mut longtail_ops::stream(seed, "test", 0, 0));
        let more = json!({"num_classes": 10}).as_object().cloned().expect("an object");
        let hash = save_backbone(&self.backbone(), &network, &params, &running, &more).expect("writable");
        stage.finish(&[("backbone.safetensors", hash)]).expect("finishes");
    }

    fn backbone(&self) -> PathBuf {
        self.layout().representation("ce").join("backbone.safetensors")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.layout().features("ce").join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_features"));
        command.arg("--recipe").arg(self.layout().recipe()).arg("--run").arg(&self.dir).args(["--variant", "ce"]);
        // Bits are the CPU's to keep, whatever the build knows besides.
        if !more.contains(&"--device") {
            command.args(["--device", "cpu"]);
        }
        command.args(more).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
        command
    }

    fn features(&self, more: &[&str]) -> (Option<i32>, String) {
        words(&self.command(more).output().expect("starts"))
    }

    /// All files of the stage with bytes and time.
    fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
        let entries = std::fs::read_dir(self.layout().features("ce")).expect("readable");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.is_file())
            .map(|path| {
                let time = path.metadata().and_then(|metadata| metadata.modified()).expect("a time");
                (path.clone(), std::fs::read(&path).expect("readable"), time)
            })
            .collect();
        files.sort();
        files
    }
}

fn words(output: &Output) -> (Option<i32>, String) {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

const FILES: [&str; 6] = ["train", "meta", "val", "test", "train-view-1", "train-view-2"];

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("readable")
}

#[test]
fn dumps_hold_what_the_network_says_of_every_image() {
    let run = Run::new();
    assert_eq!(run.features(&["--threads", "1"]).0, Some(0));
    let mut backbone = FrozenBackbone::open(&run.backbone()).expect("sound");
    let dim = backbone.feature_dim();
    for name in FILES {
        let file = TensorFile::open(&run.file(&format!("{name}.safetensors"))).expect("sound");
        let (wanted, images) = match name {
            "meta" => (&run.split.meta, &run.source.train),
            "val" => (&run.split.val, &run.source.train),
            "test" => (&run.split.test, &run.source.test),
            _ => (&run.split.train, &run.source.train),
        };
        let features = file.expect_f32("features", &[Some(wanted.len()), Some(dim)]).expect("finite");
        assert_eq!(&file.expect_u32("indices", &[None]).expect("there"), wanted, "{name}");
        let labels: Vec<u32> = wanted.iter().map(|index| images.labels[*index as usize]).collect();
        assert_eq!(file.expect_u32("labels", &[None]).expect("there"), labels, "{name}");
        assert_eq!(file.expect_u32("class_counts", &[Some(10)]).expect("there"), run.split.class_counts);
        assert_eq!(file.metadata()["split"], name);
        assert_eq!(file.metadata()["backbone"], backbone.hash());
        assert!(!file.metadata()["transforms"].is_null());
        if name.contains("view") {
            continue;
        }
        // Image by image, normalised by hand: the batches of the dump must change no bit.
        let (mean, std) = (run.recipe.data.normalize.mean[0], run.recipe.data.normalize.std[0]);
        for row in [0, wanted.len() / 2, wanted.len() - 1] {
            let start = wanted[row] as usize * 28 * 28;
            let pixels: Vec<f32> = images.images.pixels()[start..start + 28 * 28]
                .iter()
                .map(|&pixel| (f32::from(pixel) / 255.0 - mean) / std)
                .collect();
            let alone = backbone.features(&pixels, 1).expect("fits");
            for (together, alone) in features[row * dim..(row + 1) * dim].iter().zip(&alone) {
                assert!(
                    (together - alone).abs() <= 1e-5 * alone.abs().max(1.0),
                    "{name} row {row}: {together} {alone}"
                );
            }
        }
    }
    let view = |name: &str| bytes(&run.file(&format!("{name}.safetensors")));
    assert_ne!(view("train-view-1"), view("train-view-2"), "views are drawn apart");
}

#[test]
fn a_second_run_does_nothing_and_threads_and_batches_change_no_bit() {
    let run = Run::new();
    let (code, said) = run.features(&["--threads", "2"]);
    assert_eq!(code, Some(0), "{said}");
    let before = run.snapshot();
    assert_eq!(before.len(), FILES.len() + 2, "the dumps, the manifest and the lock");
    let (code, said) = run.features(&[]);
    assert!(code == Some(0) && said.contains("up to date"), "{said}");
    assert_eq!(run.snapshot(), before);
    let (code, said) = run.features(&["--threads", "1", "--set", "features.batch_size=7"]);
    assert_eq!(code, Some(0), "{said}");
    for (old, new) in before.iter().zip(run.snapshot()) {
        assert!(old.0.ends_with("manifest.json") || old.1 == new.1, "{} changed", old.0.display());
    }
}

#[test]
fn a_killed_run_keeps_its_finished_dumps_and_ends_with_the_same_bits() {
    let run = Run::new();
    assert_eq!(run.features(&[]).0, Some(0));
    let straight: Vec<Vec<u8>> = FILES.iter().map(|name| bytes(&run.file(&format!("{name}.safetensors")))).collect();
    std::fs::remove_dir_all(run.layout().features("ce")).expect("removable");
    let mut child = run
        .command(&["--threads", "1", "--set", "features.batch_size=1"])
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let checkpoints = run.layout().features("ce").join("checkpoints");
    let seen = || {
        let entries = std::fs::read_dir(&checkpoints).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // A checkpoint counts once it has its name: `step-….safetensors.tmp-…` is one that a kill would undo.
        names.filter(|name| name.starts_with("step-") && name.ends_with(".safetensors")).count()
    };
    while seen() == 0 && child.try_wait().expect("waits").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().expect("a child");
    child.wait().expect("ends");
    let kept = checkpoints.join("train.safetensors");
    let time = kept.metadata().and_then(|metadata| metadata.modified()).ok();
    let (code, said) = run.features(&[]);
    assert_eq!(code, Some(0), "{said}");
    for (name, straight) in FILES.iter().zip(&straight) {
        assert!(bytes(&run.file(&format!("{name}.safetensors"))) == *straight, "{name} differs after a kill");
    }
    if let Some(time) = time {
        let now = run.file("train.safetensors").metadata().and_then(|metadata| metadata.modified()).expect("a time");
        assert_eq!(now, time, "the finished dump was made again");
    }
    assert!(!checkpoints.exists());
}

/// Kills a run inside the dump of train after at least three checkpoints, one row each.
fn kill_inside_train(run: &Run) {
    let checkpoints = run.layout().features("ce").join("checkpoints");
    let rows = run.split.train.len() as u64;
    for _ in 0..20 {
        // Finished dumps would be up to date.
        std::fs::remove_dir_all(run.layout().features("ce")).expect("removable");
        let mut command = run.command(&["--threads", "1", "--set", "features.batch_size=1"]);
        command.env("LONGTAIL_CHECKPOINT_EVERY_STEPS", "1").stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        let newest = || {
            let entries = std::fs::read_dir(&checkpoints).into_iter().flatten().flatten();
            let steps = entries.filter_map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.strip_suffix(".safetensors")?.strip_prefix("step-")?.split('-').next()?.parse::<u64>().ok()
            });
            steps.max().unwrap_or(0)
        };
        while newest() < 3 && child.try_wait().expect("waits").is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().expect("a child");
        child.wait().expect("ends");
        if (3..rows).contains(&newest()) {
            return;
        }
    }
    panic!("twenty runs were faster than this test");
}

#[test]
fn a_dump_that_was_killed_goes_on_inside_to_the_same_bits() {
    let run = Run::new();
    assert_eq!(run.features(&[]).0, Some(0));
    let straight: Vec<Vec<u8>> = FILES.iter().map(|name| bytes(&run.file(&format!("{name}.safetensors")))).collect();
    let checkpoints = run.layout().features("ce").join("checkpoints");
    let part = checkpoints.join("train.safetensors.part");
    let ends_well = |batch_size: &str| {
        let (code, said) = run.features(&["--set", &format!("features.batch_size={batch_size}")]);
        assert_eq!(code, Some(0), "{said}");
        for (name, straight) in FILES.iter().zip(&straight) {
            assert!(bytes(&run.file(&format!("{name}.safetensors"))) == *straight, "{name} differs: {said}");
        }
        assert!(!checkpoints.exists());
        said
    };
    // Batches of another size: the first is half done already.
    kill_inside_train(&run);
    let said = ends_well("16");
    assert!(said.contains("`train` continues at image ") && !said.contains("warning"), "{said}");
    // Interrupted, twice: each time after one batch.
    std::fs::remove_dir_all(run.layout().features("ce")).expect("removable");
    for _ in 0..2 {
        let mut command = run.command(&["--threads", "1", "--set", "features.batch_size=7"]);
        command.env("LONGTAIL_CONTROL", "stdin").stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        child.stdin.as_mut().expect("a pipe").write_all(b"interrupt\n").expect("it listens");
        // Held open: its end would mean "stop at once".
        let control = child.stdin.take();
        let (code, said) = words(&child.wait_with_output().expect("ends"));
        drop(control);
        assert_eq!(code, Some(130), "{said}");
    }
    assert!(part.exists());
    assert!(ends_well("5").contains("`train` continues at image "));
    // Damage at the end costs the last row, at the beginning or as a whole all of them.
    let damages: [(&dyn Fn(), bool); 4] = [
        (&|| flip(&part, -1), true),
        (&|| flip(&part, 20), false),
        (&|| std::fs::write(&part, b"").expect("writable"), false),
        (&|| std::fs::remove_file(&part).expect("removable"), false),
    ];
    for (damage, rows_are_kept) in damages {
        kill_inside_train(&run);
        let newest = std::fs::metadata(&part).expect("a part").len();
        // What came after the last mark is not vouched for, and its loss is no damage.
        assert!(newest > 0);
        damage();
        let said = ends_well("16");
        assert_eq!(said.contains("continues at image "), rows_are_kept, "{said}");
        assert!(rows_are_kept || said.contains("is damaged: 0 of its"), "{said}");
    }
    // Killed between a dump's name and the checkpoint that would tell of it.
    kill_inside_train(&run);
    std::fs::rename(&part, checkpoints.join("train.safetensors")).expect("movable");
    assert!(ends_well("16").contains("`train` continues at image "));
}

/// Flips a bit of the byte `at`, counted from the end when negative.
fn flip(path: &Path, at: i64) {
    let mut all = bytes(path);
    let at = if at < 0 { all.len() as i64 + at } else { at } as usize;
    all[at] ^= 1;
    std::fs::write(path, all).expect("writable");
}

#[test]
fn an_interrupt_and_the_death_of_the_parent_end_it_with_130() {
    let run = Run::new();
    for word in ["interrupt\n", ""] {
        let mut command = run.command(&["--threads", "1", "--set", "features.batch_size=1"]);
        command.env("LONGTAIL_CONTROL", "stdin").stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut control = child.stdin.take().expect("a pipe");
        control.write_all(word.as_bytes()).expect("it listens");
        if word.is_empty() {
            drop(control);
            let (code, said) = words(&child.wait_with_output().expect("ends"));
            assert!(code == Some(130) && !said.contains("error"), "{code:?} {said}");
        } else {
            let output = child.wait_with_output();
            drop(control);
            let (code, said) = words(&output.expect("ends"));
            assert!(code == Some(130) && said.contains("interrupted; run the same command again"), "{code:?} {said}");
        }
        assert!(!run.file("manifest.json").exists());
    }
    assert_eq!(run.features(&[]).0, Some(0));
}

#[test]
fn another_backbone_is_noticed_and_a_failure_leaves_the_old_dumps() {
    let run = Run::new();
    assert_eq!(run.features(&[]).0, Some(0));
    let before = run.snapshot();
    // The split of another recipe.
    let (code, said) = run.features(&["--set", "data.max_per_class=11"]);
    assert!(code == Some(2) && said.contains("max_per_class") && said.contains("hint: "), "{said}");
    // A backbone that was cut short.
    let sound = bytes(&run.backbone());
    std::fs::write(run.backbone(), &sound[..sound.len() / 2]).expect("writable");
    for more in [&["--force"][..], &["--force", "--accept-stale"]] {
        let (code, said) = run.features(more);
        assert!(code == Some(2) && said.contains("backbone.safetensors") && !said.contains("panicked"), "{said}");
        assert_eq!(run.snapshot(), before);
    }
    // Another backbone, rightly made: the dumps follow it.
    run.train(1);
    let (code, said) = run.features(&["--json"]);
    assert!(code == Some(0) && said.contains("train-view-2"), "{said}");
    assert_ne!(run.snapshot()[1].1, before[1].1);
}

/// Without CUDA in the build it is refused and `auto` is the CPU; with it, where no device answers, alike.
#[test]
fn a_gpu_that_cannot_be_had_is_refused_and_auto_goes_on_without() {
    let run = Run::new();
    // No machine has so many; where CUDA is built in, this asks the driver.
    let (code, said) = run.features(&["--device", "cuda:4000"]);
    assert!(code == Some(2) && said.contains("--device cuda:4000") && said.contains("hint: "), "{said}");
    if !cfg!(feature = "cuda") {
        assert!(said.contains("cargo build --release -p longtail-features --features cudnn"), "{said}");
    }
    assert!(!run.layout().features("ce").join("manifest.json").exists());
    assert_eq!(run.features(&["--device", "auto"]).0, Some(0));
    let manifest = String::from_utf8(bytes(&run.file("manifest.json"))).expect("text");
    if !cfg!(feature = "cuda") {
        assert!(manifest.contains("\"device\": \"cpu\""), "{manifest}");
    }
    // Which device it was is in no key.
    let (code, said) = run.features(&["--device", "cpu"]);
    assert!(code == Some(0) && said.contains("up to date"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_dumps() {
    let run = Run::new();
    assert_eq!(run.features(&[]).0, Some(0));
    run.train(1);
    let before = run.snapshot();
    let direct = run.command(&[]);
    let mut limited = Command::new("sh");
    // A limit on the size of files stands in for a full disk; the signal that goes with it is ignored.
    limited
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"")
        .arg(direct.get_program())
        .args(direct.get_args());
    let (code, said) = words(&limited.stdin(Stdio::null()).output().expect("starts"));
    assert!(
        code == Some(2) && said.contains("cannot write") && said.contains("hint: the disk or your quota is full"),
        "{said}"
    );
    assert_eq!(run.snapshot(), before, "not one dump of the new backbone stands among the old ones");
    assert_eq!(run.features(&[]).0, Some(0));
    assert_ne!(run.snapshot(), before);
}
