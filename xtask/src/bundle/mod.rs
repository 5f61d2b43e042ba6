//! `bundle`: programs, recipes and data in one folder that runs on a machine with neither Rust nor a network.

mod libraries;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::{WithHint, disk};
use longtail_artifact::counted;
use longtail_recipe::Dataset;
use serde_json::json;

use crate::binaries::{self, Gpus};
use crate::child::{self, Stdout};
use crate::cli::{BundleArgs, BundleFeature};
use crate::setup::{self, Need};
use crate::{cuda, workspace};

/// Starts a bundle; a POSIX shell is all that it needs.
const RUN: &str = include_str!("run.sh");

/// Marks a bundle that is being made.
const UNFINISHED: &str = "unfinished";

/// Programs and libraries, before they are compressed.
const PROGRAMS: &str = "programs.tar";

/// Makes the bundle, beside its place first.
///
/// # Errors
/// An unknown recipe, a place that is taken, a build that fails, data that is not there.
pub fn run(root: &Path, arguments: &BundleArgs) -> Result<ExitCode> {
    longtail_artifact::cli::install_interrupt_handler();
    let out = workspace::absolute(&arguments.out)?;
    refuse_taken(&out, arguments.force)?;
    let files: Vec<PathBuf> =
        arguments.recipe.iter().map(|name| workspace::recipe_file(root, name)).collect::<Result<_>>()?;
    let recipes = files.iter().map(|file| workspace::read_recipe(file, &[], None)).collect::<Result<Vec<_>>>()?;
    let compressor = Compressor::find()?;
    setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    let gpus = match arguments.features {
        None => Gpus::No,
        Some(feature) => {
            cuda::require_compiler()?;
            if feature == BundleFeature::Cudnn { Gpus::Cudnn } else { Gpus::Cuda }
        }
    };
    let packages: Vec<&str> = binaries::ALL.into_iter().chain(["longtail-bench", "xtask"]).collect();
    let programs = binaries::build(root, &packages, gpus)?;

    if gpus != Gpus::No && programs.on_gpus().is_empty() {
        return Err(anyhow!("there are no CUDA programs to pack"))
            .hint(&format!("the folder in {} has none; unset it to build them", binaries::PREBUILT_VARIABLE));
    }

    let part = unfinished(&out)?;
    for folder in ["bench", "bin", "lib", "pipelines", "data"] {
        fs_err::create_dir_all(part.join(folder))?;
    }
    for package in &packages {
        let name = binaries::program(package);
        pack_program(programs.on_cpu(name)?, &part.join("bin").join(name))?;
    }
    for (name, program) in programs.on_gpus() {
        let folder = part.join("bin").join(binaries::CUDA_FOLDER);
        fs_err::create_dir_all(&folder)?;
        pack_program(program, &folder.join(name))?;
    }
    if arguments.tests {
        fs_err::create_dir_all(part.join("tests"))?;
        for (name, program) in binaries::build_device_tests(root, gpus)? {
            pack_program(&program, &part.join("tests").join(name))?;
        }
    }
    for (name, library) in libraries::carried(programs.on_cpu("classifier")?)? {
        eprintln!("packing {name} …");
        fs_err::copy(&library, part.join("lib").join(&name))?;
    }
    compressor.archive(&part)?;
    fs_err::copy(root.join("bench/torch_worker.py"), part.join("bench/torch_worker.py"))?;
    for file in &files {
        let name = file.file_name().context("a recipe is a file")?;
        fs_err::copy(file, part.join("pipelines").join(name))?;
    }
    let schema = "pipelines/recipe.schema.json"; // for editors; recipes name it
    fs_err::copy(root.join(schema), part.join(schema))?;
    let datasets: Vec<Dataset> = recipes.iter().map(|recipe| recipe.data.dataset).collect();
    pack_data(root, arguments, (&files, &datasets), programs.on_cpu("datasets")?, &part)?;
    write_run(&part, arguments, &files)?;
    if out.exists() {
        fs_err::remove_dir_all(&out)?; // --force, or empty
    }
    fs_err::remove_file(part.join(UNFINISHED))?;
    fs_err::rename(&part, &out)?;
    tell(&out, arguments)
}

/// A copy without symbols.
fn pack_program(program: &Path, copy: &Path) -> Result<()> {
    eprintln!("packing {} …", copy.file_name().unwrap_or_default().display());
    fs_err::copy(program, copy)?;
    let _ = Command::new("strip").arg(copy).stdin(Stdio::null()).stderr(Stdio::null()).status(); // it runs with them too
    Ok(())
}

/// The empty folder beside `out` that becomes the bundle; what an earlier start left in it goes, and nobody else's.
fn unfinished(out: &Path) -> Result<PathBuf> {
    let name = out.file_name().context("a bundle's folder has a name").hint("name one with -o")?;
    let part = out.with_file_name(format!("{}.part", name.to_string_lossy()));
    if part.exists() && !part.join(UNFINISHED).is_file() {
        return Err(anyhow!("`{}` exists, but the bundle is first built there", part.display()))
            .hint("move it, or choose another folder with -o");
    }
    if part.exists() {
        fs_err::remove_dir_all(&part)?;
    }
    fs_err::create_dir_all(&part)?;
    fs_err::write(part.join(UNFINISHED), "")?;
    Ok(part)
}

/// A folder that is there and holds something is replaced only if that is asked for, and only if it is a bundle.
fn refuse_taken(out: &Path, force: bool) -> Result<()> {
    let entries = match fs_err::read_dir(out) {
        Ok(entries) => entries.count(),
        Err(_) if !out.exists() => 0,
        Err(error) => return Err(error.into()),
    };
    let is_bundle = out.join(workspace::BUNDLE_FILE).is_file();
    if force && is_bundle && out.join("runs").exists() {
        return Err(anyhow!("`{}` is a bundle that has run: its folder `runs` holds results", out.display()))
            .hint("move `runs` elsewhere, or choose another folder with -o");
    }
    if entries == 0 || force && is_bundle {
        return Ok(());
    }
    let what = format!("`{}` is not empty", out.display());
    if force {
        return Err(anyhow!("{what} and is not a bundle")).hint("choose another folder with -o");
    }
    Err(anyhow!("{what}")).hint("choose another folder with -o, or replace this bundle with --force")
}

/// Fashion-MNIST as it is; of CIFAR-100 what the recipes draw. Photographs stay where they are.
fn pack_data(
    root: &Path,
    arguments: &BundleArgs,
    (files, datasets): (&[PathBuf], &[Dataset]),
    program: &Path,
    part: &Path,
) -> Result<()> {
    if datasets.contains(&Dataset::FashionMnist) {
        let (from, to) = (root.join("data/fashion-mnist"), part.join("data/fashion-mnist"));
        fs_err::create_dir_all(&to)?;
        for entry in fs_err::read_dir(&from)? {
            let path = entry?.path();
            fs_err::copy(&path, to.join(path.file_name().context("an entry has a name")?))?;
        }
    }
    let of_cifar: Vec<&PathBuf> = files
        .iter()
        .zip(datasets)
        .filter(|(_, dataset)| **dataset == Dataset::Cifar100)
        .map(|(file, _)| file)
        .collect();
    if !of_cifar.is_empty() {
        eprintln!("packing CIFAR-100 (about half a minute) …");
        let mut words = vec!["subset".into(), "--out".into(), part.join("data/cifar100").into()];
        for file in of_cifar {
            words.extend(["--recipe".into(), file.into()]);
        }
        if let Some(data) = &arguments.data {
            words.extend(["--data".into(), workspace::absolute(data)?.into()]);
        }
        if child::run(root, program, &words, Stdout::ToStderr)? != 0 {
            return Err(anyhow!("the images cannot be packed")).hint("see the reason above");
        }
    }
    for dataset in datasets.iter().filter(|dataset| dataset.is_photo_set()) {
        eprintln!(
            "note: the images of {} are not in the bundle: give run.sh their folder with --data DIR",
            dataset.name()
        );
    }
    Ok(())
}

fn write_run(part: &Path, arguments: &BundleArgs, files: &[PathBuf]) -> Result<()> {
    let names: Vec<String> =
        files.iter().filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    let device = if arguments.features.is_some() { "cuda" } else { "cpu" };
    let cuda = match &arguments.features {
        Some(_) => cuda::major().map_err(|why| anyhow!("cannot tell the CUDA version of the programs: {why}"))?,
        None => "none".to_owned(),
    };
    let cudnn = if arguments.features == Some(BundleFeature::Cudnn) { "yes" } else { "no" };
    let mut text = RUN.to_owned();
    for (place, value) in
        [("@RECIPES@", names.join(" ").as_str()), ("@DEVICE@", device), ("@CUDA@", &cuda), ("@CUDNN@", cudnn)]
    {
        text = text.replace(place, value);
    }
    let path = part.join("run.sh");
    fs_err::write(&path, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    let description = json!({
        "format": 1, "longtail": env!("CARGO_PKG_VERSION"), "recipes": names, "device": device,
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    });
    fs_err::write(part.join(workspace::BUNDLE_FILE), serde_json::to_string_pretty(&description)?)?;
    Ok(())
}

/// What makes files small, and what undoes it there: `run.sh` knows both.
struct Compressor(&'static str);

impl Compressor {
    fn find() -> Result<Self> {
        let answers = |name: &&str| {
            let command = Command::new(name).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
            command.is_ok_and(|status| status.success())
        };
        ["xz", "gzip"]
            .into_iter()
            .find(answers)
            .map(Self)
            .context("the programs must be compressed, but neither `xz` nor `gzip` works")
            .hint("install xz-utils")
    }

    /// The folders with programs become one archive, since they share much of what they are built from: two fifths of what
    /// they take one by one (with xz, which sees all of it; gzip does not).
    fn archive(&self, part: &Path) -> Result<()> {
        eprintln!("compressing the programs (about half a minute) …");
        let folders = ["bin", "lib", "tests"].into_iter().filter(|name| part.join(name).is_dir());
        let folders: Vec<&str> = folders.collect();
        let mut tar = Command::new("tar");
        let done = child::run_tool(tar.current_dir(part).args(["-cf", PROGRAMS]).args(&folders))?
            && child::run_tool(Command::new(self.0).current_dir(part).args(["-9", "-f", PROGRAMS]))?;
        if !done {
            return Err(anyhow!("`tar` or `{}` failed", self.0)).hint("see the reason above");
        }
        for folder in folders {
            fs_err::remove_dir_all(part.join(folder))?;
        }
        Ok(())
    }
}

fn tell(out: &Path, arguments: &BundleArgs) -> Result<ExitCode> {
    let (bytes, files) = size(out)?;
    if arguments.json {
        println!("{}", json!({"folder": out, "bytes": bytes, "files": files}));
    } else {
        println!("{}: {} in {}", out.display(), disk::human(bytes), counted(files, "file"));
        println!("on the other machine: sh run.sh --help");
    }
    Ok(ExitCode::SUCCESS)
}

/// Bytes and files below a folder.
fn size(folder: &Path) -> Result<(u64, usize)> {
    let (mut bytes, mut files) = (0, 0);
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let (more, below) = size(&entry.path())?;
            (bytes, files) = (bytes + more, files + below);
        } else {
            (bytes, files) = (bytes + entry.metadata()?.len(), files + 1);
        }
    }
    Ok((bytes, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_or_another_bundle_makes_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("bundle");
        assert!(refuse_taken(&out, false).is_ok(), "a new one");
        std::fs::create_dir(&out).expect("writable");
        assert!(refuse_taken(&out, false).is_ok(), "an empty one");
        std::fs::write(out.join("thesis.tex"), "").expect("writable");
        assert!(refuse_taken(&out, false).is_err() && refuse_taken(&out, true).is_err(), "someone's");
        std::fs::write(out.join(workspace::BUNDLE_FILE), "{}").expect("writable");
        assert!(refuse_taken(&out, false).is_err() && refuse_taken(&out, true).is_ok(), "an older bundle");
        std::fs::create_dir(out.join("runs")).expect("writable");
        assert!(refuse_taken(&out, true).is_err(), "results are kept");
    }

    #[test]
    fn a_bundle_is_made_beside_its_place_and_only_its_own_beginning_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = unfinished(&folder.path().join("bundle.v2")).expect("free");
        assert_eq!(part, folder.path().join("bundle.v2.part"));
        std::fs::write(part.join("half"), "").expect("writable");
        assert_eq!(unfinished(&folder.path().join("bundle.v2")).expect("its own"), part);
        assert!(!part.join("half").exists());
        let other = folder.path().join("bundle.part");
        std::fs::create_dir(&other).expect("writable");
        std::fs::write(other.join("thesis.tex"), "").expect("writable");
        assert!(unfinished(&folder.path().join("bundle")).is_err() && other.join("thesis.tex").exists());
    }

    #[test]
    fn run_sh_has_each_of_its_places_once() {
        for place in ["@RECIPES@", "@DEVICE@", "@CUDA@", "@CUDNN@"] {
            assert_eq!(RUN.matches(place).count(), 1, "{place}");
        }
        assert_eq!(RUN.matches('@').count(), 2 * 4 + RUN.matches("\"$@\"").count(), "no other");
    }
}
