//! Programs for CPUs and programs for CUDA: which of them xtask starts, and what it says where those for CUDA cannot start.
#![cfg(target_os = "linux")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use longtail_tests::{Outcome, PREBUILT_VARIABLE, binary, finish, root, tracked_files, xtask};
use tempfile::TempDir;

const STAGES: [&str; 3] = ["representation", "features", "classifier"];

/// A folder of binaries: ours and, where `cuda` is a script, programs of that script for CUDA.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(cuda: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bin = folder.path().join("bin");
        std::fs::create_dir_all(bin.join("cuda")).expect("writable");
        for name in ["datasets", "report"].iter().chain(&STAGES) {
            symlink(binary(name), bin.join(name)).expect("writable");
        }
        if let Some(script) = cuda {
            for name in STAGES {
                let path = bin.join("cuda").join(name);
                let words = script.replace("REAL", &binary(name).to_string_lossy());
                std::fs::write(&path, format!("#!/bin/sh\n{words}\n")).expect("writable");
                std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its own file");
            }
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stage1(&self, device: &str) -> Outcome {
        let mut command = xtask();
        command.env(PREBUILT_VARIABLE, self.path("bin")).env("LONGTAIL_TEST_STARTED", self.path("started"));
        command.args(["run", "representation"]).arg(root().join("tests/recipes/tiny.yaml"));
        command.args(["--variant", "ce", "--device", device, "--runs"]).arg(self.path("runs"));
        finish(&mut command)
    }

    /// What the programs for CUDA were told, a line a start.
    fn started(&self) -> String {
        std::fs::read_to_string(self.path("started")).unwrap_or_default()
    }

    fn trained(&self) -> bool {
        self.path("runs/tiny/seed-0/representation/ce/manifest.json").is_file()
    }
}

/// Stands for a program for CUDA on a machine without a GPU: it starts, and what it is told is noted; it computes on the CPU.
const STARTS: &str = r#"if [ "$1" = --version ]; then echo "representation 0"; exit 0; fi
echo "$*" >> "$LONGTAIL_TEST_STARTED"
exec REAL "$@""#;

/// As the loader ends a program whose libraries are not there.
const LACKS_LIBRARIES: &str = r#"echo "$0: error while loading shared libraries: libcuda.so.1: cannot open shared object file" >&2
exit 127"#;

fn one_error_line(outcome: &Outcome, words: &[&str]) {
    let line = outcome.words.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
    assert!(outcome.code == Some(2) && words.iter().all(|word| line.contains(word)), "{}", outcome.words);
    assert!(outcome.words.contains("hint:"), "{}", outcome.words);
}

#[test]
fn auto_takes_programs_for_cuda_that_start() {
    let bench = Bench::new(Some(STARTS));
    let done = bench.stage1("auto");
    assert!(done.code == Some(0) && bench.trained(), "{}", done.words);
    assert!(bench.started().contains("--device auto"), "{}", bench.started());
    assert!(!bench.stage1("cpu").words.contains("error"), "up to date");
    assert_eq!(bench.started().lines().count(), 1, "the CPU's programs are asked for the CPU");
}

#[test]
fn auto_never_fails_for_want_of_a_driver() {
    let bench = Bench::new(Some(LACKS_LIBRARIES));
    let done = bench.stage1("auto");
    assert!(done.code == Some(0) && bench.trained(), "{}", done.words);
    assert!(done.words.contains("the stages run on the cpu") && done.words.contains("libcuda.so.1"), "{}", done.words);
}

#[test]
fn a_gpu_that_cannot_be_used_is_refused_in_one_line_before_any_work() {
    let bench = Bench::new(Some(LACKS_LIBRARIES));
    one_error_line(&bench.stage1("cuda"), &["--device cuda:0", "libcuda.so.1", "driver"]);
    one_error_line(&bench.stage1("cuda:3"), &["--device cuda:3", "libcuda.so.1"]);
    let none = Bench::new(None);
    one_error_line(&none.stage1("cuda"), &["--device cuda:0", "no CUDA programs"]);
    for bench in [bench, none] {
        assert!(!bench.path("runs").exists(), "nothing was begun");
    }
}

/// A plan can be made anywhere, and says what the run will say: that programs are missing.
#[test]
fn a_plan_for_a_gpu_says_what_would_be_refused() {
    let plan = |bench: &Bench, more: &[&str]| {
        let mut command = xtask();
        command.env(PREBUILT_VARIABLE, bench.path("bin")).arg("reproduce").arg(root().join("tests/recipes/tiny.yaml"));
        finish(command.arg("--runs").arg(bench.path("runs")).args(more))
    };
    let (none, lacks, starts) = (Bench::new(None), Bench::new(Some(LACKS_LIBRARIES)), Bench::new(Some(STARTS)));
    for (bench, words) in [(&none, "no CUDA programs"), (&lacks, "libcuda.so.1")] {
        let planned = plan(bench, &["--dry-run", "--device", "cuda"]);
        let told = "warning: will be refused: `--device cuda:0`: ";
        assert!(
            planned.code == Some(0) && planned.words.contains(told) && planned.words.contains(words),
            "{}",
            planned.words
        );
        assert!(!plan(bench, &["--dry-run", "--device", "cpu"]).words.contains("refused"));
    }
    assert!(!plan(&starts, &["--dry-run", "--device", "cuda"]).words.contains("refused"));
}

#[test]
fn auto_is_the_cpu_where_there_is_one_set_alone() {
    let bench = Bench::new(None);
    let done = bench.stage1("auto");
    assert!(done.code == Some(0) && bench.trained() && !done.words.contains("the stages run on"), "{}", done.words);
}

/// Where xtask builds, a machine without a driver is told so before the build, which takes minutes.
#[test]
fn without_a_driver_nothing_is_built_for_a_gpu() {
    let there = ["/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib/wsl/lib"];
    if Path::new("/dev/nvidiactl").exists()
        || there.iter().any(|folder| Path::new(folder).join("libcuda.so.1").exists())
    {
        return println!("skipped: what is said without a driver; there is one");
    }
    let bench = Bench::new(None);
    let mut command = xtask();
    command.env_remove(PREBUILT_VARIABLE).env_remove("LD_LIBRARY_PATH").env("CARGO", bench.path("no-cargo"));
    command.args(["reproduce", "fashion-mnist-lt", "--device", "cuda", "--runs"]).arg(bench.path("runs"));
    one_error_line(&finish(&mut command), &["--device cuda:0", "NVIDIA's driver", "libcuda.so.1"]);
    assert!(!bench.path("runs").exists(), "nothing was begun");
}

/// A second candle device would have a stream of its own, whose work nothing keeps in order with the first's.
#[test]
fn one_place_opens_candles_device() {
    for file in tracked_files() {
        let name = file.to_string_lossy().into_owned();
        if !name.ends_with(".rs") {
            continue;
        }
        let code = std::fs::read_to_string(root().join(&file)).unwrap_or_default();
        let opens = ["Device::new_cuda", "CudaDevice::new", "cuda_if_available"].iter().any(|word| code.contains(word));
        assert!(!opens || name == "crates/training/src/compute.rs" || name.ends_with("device_sets.rs"), "{name}");
        let is_of_kernels = ["crates/ops/", "crates/backbone/tests/"].iter().any(|folder| name.starts_with(folder));
        assert!(is_of_kernels || !code.contains("Cuda::open(") || name.ends_with("device_sets.rs"), "{name}");
    }
}

#[test]
fn every_stage_with_cuda_has_candles_cuda() {
    let manifest =
        |name: &str| std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).expect("a manifest");
    for name in ["representation", "features", "classifier"] {
        assert!(manifest(name).contains("\"longtail-training/cuda\""), "{name}");
    }
    assert!(manifest("training").contains("cuda = [\"candle-core/cuda\""));
    assert!(!manifest("training").contains("candle-core/cudnn"), "candle's own convolutions take no part");
}
