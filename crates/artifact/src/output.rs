//! Where a tool may write: over nothing that it reads, and over nothing that a finished stage vouches for.

use std::path::{Component, Path, PathBuf};

use crate::{ArtifactError, Manifest, RunLayout, manifest};

/// What a file holds, which the end of its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Tensors that no stage reads.
    Tensors,
    /// Tensors that later stages read beside their neighbours: backbone, head, prototypes. No finished stage may lie there.
    StageTensors,
    /// An archive for NumPy.
    Npz,
    /// A picture.
    Svg,
    /// Photographs in one file.
    Pack,
    /// A part of CIFAR-100.
    Subset,
}

impl OutputKind {
    /// How its names end, without the dot.
    fn extension(self) -> &'static str {
        match self {
            Self::Tensors | Self::StageTensors => "safetensors",
            Self::Npz => "npz",
            Self::Svg => "svg",
            Self::Pack => "pack",
            Self::Subset => "subset",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Tensors | Self::StageTensors => "end its name in .safetensors",
            Self::Npz => "end its name in .npz",
            Self::Svg => "the figure is an SVG file: end its name in .svg",
            Self::Pack => "end its name in .pack",
            Self::Subset => "end its name in .subset",
        }
    }
}

/// A file that a tool was told to write.
#[derive(Debug, Clone, Copy)]
pub struct OutputFile<'a> {
    /// The option that names it, for errors.
    pub option: &'static str,
    /// Path of the output file.
    pub path: &'a Path,
    /// What it will hold.
    pub kind: OutputKind,
}

/// Refuses outputs that would replace something, before any work. Every tool with an output asks here, and nowhere else.
///
/// The file must be none of `inputs` (by any spelling, through links of both kinds), none of the other outputs, no folder, no
/// file of a finished stage (one that a `manifest.json` beside it or above it lists) and no split of a run; its name must end as
/// its kind does. A file of the user's own that lies there already is replaced: that is what its option asks for.
///
/// # Errors
/// [`ArtifactError::Output`]: the first of these, with what to do.
pub fn check_outputs(inputs: &[&Path], outputs: &[OutputFile<'_>]) -> Result<(), ArtifactError> {
    for (place, output) in outputs.iter().enumerate() {
        let refuse = |why: String, hint: &'static str| {
            Err(ArtifactError::Output { option: output.option, path: output.path.to_owned(), why, hint })
        };
        if output.path.is_dir() {
            return refuse("is a folder".to_owned(), "name a file in it");
        }
        if let Some(input) = inputs.iter().find(|input| is_same_file(input, output.path)) {
            let why = format!("would replace `{}`, which this command reads", input.display());
            return refuse(why, "give it another name");
        }
        if let Some(other) = outputs[..place].iter().find(|other| is_same_file(other.path, output.path)) {
            let why = format!("would replace the output of `{}`", other.option);
            return refuse(why, "give each file its own name");
        }
        for path in places(output.path) {
            if let Some(stage) = vouched_by(&path) {
                return refuse(
                    format!("would replace a file of the finished stage `{stage}` (its manifest.json lists this file)"),
                    "choose another file or folder; to make a stage's own files again, run it with --force",
                );
            }
            if is_split_of_a_run(&path) {
                return refuse(
                    "would replace the split that the stages of a run share".to_owned(),
                    "name another folder",
                );
            }
            let in_stage = path.parent().is_some_and(|folder| folder.join(manifest::NAME).exists());
            if in_stage && output.kind == OutputKind::StageTensors {
                return refuse(
                    "is in the folder of a finished stage; this would mix files of two networks".to_owned(),
                    "choose a separate run folder, such as runs/imported/seed-0",
                );
            }
        }
        let extension = output.kind.extension();
        if !output.path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension)) {
            return refuse(format!("does not end in .{extension}, as it must"), output.kind.hint());
        }
    }
    Ok(())
}

/// Whether both paths lead to one file. Files that are not there yet are compared by where they would come to lie.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    same_file::is_same_file(a, b).unwrap_or_else(|_| in_its_folder(a) == in_its_folder(b))
}

/// Where `path` lies, and where it leads when it is a link.
fn places(path: &Path) -> Vec<PathBuf> {
    let mut places = vec![in_its_folder(path)];
    places.extend(path.canonicalize().ok().filter(|target| *target != places[0]));
    places
}

/// `path` with every link and `..` of its folder resolved, as far as that folder is there; the name is left as it stands.
fn in_its_folder(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path };
    match folder.canonicalize() {
        Ok(folder) => folder.join(name),
        Err(_) if folder.components().next_back() == Some(Component::ParentDir) => path,
        Err(_) => in_its_folder(folder).join(name),
    }
}

/// The finished stage that lists `path` among its outputs, in a folder that holds it, at any depth.
fn vouched_by(path: &Path) -> Option<String> {
    path.ancestors().skip(1).find_map(|folder| {
        let manifest = Manifest::read(folder).ok().flatten()?;
        let listed = manifest.outputs.keys().any(|name| folder.join(name) == path);
        listed.then_some(manifest.stage)
    })
}

/// `split.safetensors` beside a run's recipe: no manifest lists it as an output, and every stage reads it.
fn is_split_of_a_run(path: &Path) -> bool {
    let Some(folder) = path.parent() else { return false };
    let run = RunLayout::new(folder);
    path == run.split() && path.exists() && run.recipe().exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Begin, BeginOptions, ImageMatch, StageRun, StageSpec, hash_file, write_atomic};

    fn tensors(path: &Path) -> OutputFile<'_> {
        OutputFile { option: "--out", path, kind: OutputKind::Tensors }
    }

    fn refusal(inputs: &[&Path], output: OutputFile<'_>) -> String {
        let error = check_outputs(inputs, &[output]).expect_err("refused");
        assert!(error.hint().is_some());
        error.to_string()
    }

    /// A finished stage with `name` and `figures/a.svg`.
    fn stage(dir: &Path, name: &str) {
        let recipe_part = serde_json::Value::Null;
        let spec = StageSpec {
            stage: "features",
            code_version: 1,
            recipe_part,
            inputs: vec![],
            device: "cpu".into(),
            images: ImageMatch::Same,
        };
        let Ok(Begin::Run(run)) = StageRun::begin(dir, &spec, BeginOptions::default()) else { panic!("it is new") };
        let mut outputs = Vec::new();
        for name in [name, "figures/a.svg"] {
            write_atomic(&dir.join(name), b"x").expect("writable");
            outputs.push((name, hash_file(&dir.join(name)).expect("readable")));
        }
        run.finish(&outputs).expect("finishes");
    }

    #[test]
    fn a_name_ends_as_its_kind_does() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let wrong = dir.path().join("x.safetensors");
        let npz = OutputFile { option: "--npz", path: &wrong, kind: OutputKind::Npz };
        assert!(refusal(&[], npz).contains("does not end in .npz"));
        let (svg, bare) = (dir.path().join("x.SVG"), dir.path().join("x"));
        let picture = |path| OutputFile { option: "--out", path, kind: OutputKind::Svg };
        check_outputs(&[], &[picture(&svg)]).expect("an SVG");
        assert!(refusal(&[], picture(&bare)).contains(".svg"));
        let folder = dir.path().join("f.safetensors");
        std::fs::create_dir(&folder).expect("writable");
        assert!(refusal(&[], tensors(&folder)).contains("is a folder"));
    }

    #[test]
    fn an_input_is_spared_by_every_spelling_and_link() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let input = dir.path().join("in.safetensors");
        std::fs::write(&input, b"x").expect("writable");
        std::fs::create_dir(dir.path().join("deep")).expect("writable");
        let hard = dir.path().join("hard.safetensors");
        std::fs::hard_link(&input, &hard).expect("linkable");
        let mut spellings =
            vec![input.clone(), dir.path().join("./in.safetensors"), dir.path().join("deep/../in.safetensors"), hard];
        #[cfg(unix)]
        {
            let (link, folder) = (dir.path().join("link.safetensors"), dir.path().join("other"));
            std::os::unix::fs::symlink(&input, &link).expect("linkable");
            std::os::unix::fs::symlink(dir.path(), &folder).expect("linkable");
            spellings.extend([link, folder.join("in.safetensors")]);
        }
        for path in &spellings {
            assert!(refusal(&[&input], tensors(path)).contains("which this command reads"), "{}", path.display());
        }
        let free = dir.path().join("out.safetensors");
        check_outputs(&[&input], &[tensors(&free)]).expect("another file");
        // Two outputs of one call, neither of which is there.
        let (a, b) = (dir.path().join("new/h.safetensors"), dir.path().join("new/./h.safetensors"));
        let twice = [tensors(&a), OutputFile { option: "--head", ..tensors(&b) }];
        assert!(check_outputs(&[], &twice).expect_err("twice").to_string().contains("the output of `--out`"));
    }

    #[test]
    fn files_of_finished_stages_and_splits_are_spared() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let run = dir.path().join("seed-0");
        let folder = run.join("features/ce");
        stage(&folder, "train.safetensors");
        let (train, own) = (folder.join("train.safetensors"), folder.join("own.safetensors"));
        assert!(refusal(&[], tensors(&train)).contains("finished stage `features`"));
        let figure = folder.join("figures/../figures/a.svg");
        let figure = OutputFile { option: "--out", path: &figure, kind: OutputKind::Svg };
        assert!(refusal(&[], figure).contains("manifest.json lists this file"));
        std::fs::remove_file(&train).expect("removable");
        assert!(refusal(&[], tensors(&train)).contains("manifest.json lists this file"), "also when it is gone");
        check_outputs(&[], &[tensors(&own)]).expect("a file of the user's beside them");
        let backbone = OutputFile { kind: OutputKind::StageTensors, ..tensors(&own) };
        assert!(refusal(&[], backbone).contains("folder of a finished stage"));
        #[cfg(unix)]
        {
            let link = dir.path().join("link.svg");
            std::os::unix::fs::symlink(folder.join("figures/a.svg"), &link).expect("linkable");
            let picture = OutputFile { option: "--out", path: &link, kind: OutputKind::Svg };
            assert!(refusal(&[], picture).contains("manifest.json lists this file"));
        }
        let split = run.join("split.safetensors");
        check_outputs(&[], &[tensors(&split)]).expect("there is no split, and this is no run yet");
        for file in [&split, &run.join("recipe.yaml")] {
            std::fs::write(file, b"x").expect("writable");
        }
        assert!(refusal(&[], tensors(&split)).contains("split"));
    }
}
