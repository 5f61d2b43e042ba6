//! A picture of generated rows: `classifier generate` writes the file that `features plot` draws.

use std::path::{Path, PathBuf};
use std::process::Command;

use longtail_artifact::TensorFile;
use longtail_tests::{Outcome, Stage, TinyRun, binary, finish, stage_command};

const REAL: usize = 5;
const PER_CLASS: usize = 20;
const VAL: usize = 3;
/// Three classes with few images, and the one with the most, for which nothing is generated.
const CLASSES: [u32; 4] = [0, 7, 8, 9];

fn generate(run: &TinyRun, method: &str, out: &Path) -> Outcome {
    let stage = stage_command(run, &Stage::one("classifier", "ce", Some(method)), 2);
    finish(Command::new(binary("classifier")).arg("generate").args(stage.get_args()).arg("--out").arg(out))
}

fn plot(run: &TinyRun, variant: &str, generated: &Path, out: &Path) -> Outcome {
    let dump = |name: &str| run.layout().features(variant).join(format!("{name}.safetensors"));
    let mut command = Command::new(binary("features"));
    command.args(["plot", "--train"]).arg(dump("train")).arg("--val").arg(dump("val"));
    command.arg("--generated").arg(generated).arg("--out").arg(out).args(["--classes", "0,7,8,9"]);
    for (name, number) in [("--real-per-class", REAL), ("--per-class", PER_CLASS), ("--val-per-class", VAL)] {
        command.arg(name).arg(number.to_string());
    }
    finish(&mut command)
}

/// How many of its points of each kind a panel holds: training, generated, validation.
fn panels(svg: &str) -> Vec<[usize; 3]> {
    let groups = svg.split("<g ").skip(1).map(|rest| rest.split("</g>").next().expect("a group ends"));
    groups.map(|group| ["<circle", "<path", "<polygon"].map(|tag| group.matches(tag).count())).collect()
}

#[test]
fn what_a_classifier_generates_is_in_the_picture() {
    let run = TinyRun::new(&[]);
    for (stage, variant) in
        [("representation", "ce"), ("features", "ce"), ("representation", "control"), ("features", "control")]
    {
        let done = finish(&mut stage_command(&run, &Stage::one(stage, variant, None), 2));
        assert_eq!(done.code, Some(0), "{}", done.words);
    }
    let file = |name: &str| run.dir.join(name);
    let mut pictures = Vec::new();
    for method in ["mpfa", "tailcalib", "tailcalib_x"] {
        let (rows, picture): (PathBuf, PathBuf) =
            (file(&format!("{method}.safetensors")), file(&format!("{method}.svg")));
        let done = generate(&run, method, &rows);
        assert_eq!(done.code, Some(0), "{method}: {}", done.words);
        let labels =
            TensorFile::open(&rows).and_then(|file| file.expect_u32("generated_labels", &[None])).expect("rows");
        let made = |class: u32| labels.iter().filter(|&&label| label == class).count();
        assert_eq!(made(0), 0, "the largest class lacks nothing");
        assert!(CLASSES[1..].iter().all(|&class| made(class) >= PER_CLASS - REAL));

        let done = plot(&run, "ce", &rows, &picture);
        assert_eq!(done.code, Some(0), "{method}: {}", done.words);
        let svg = std::fs::read_to_string(&picture).expect("a picture");
        let (real, val, generated) = (4 * REAL, 4 * VAL, 3 * (PER_CLASS - REAL));
        // t-SNE before and after, then PCA before and after.
        assert_eq!(panels(&svg)[..4], [[real, 0, val], [real, generated, val], [real, 0, val], [real, generated, val]]);
        assert!(svg.contains("(d) PCA, after generation"));
        pictures.push(svg);

        // Rows that were generated from one network's features are in no picture of another's.
        let refused = plot(&run, "control", &rows, &file("other.svg"));
        assert!(
            refused.code == Some(2) && refused.words.contains("was made from other rows than"),
            "{}",
            refused.words
        );
        assert!(!file("other.svg").exists(), "{}", refused.words);
    }
    assert!(pictures[0] != pictures[1]);
}
