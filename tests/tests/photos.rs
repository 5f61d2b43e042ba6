//! Photo sets from JPEG files to predictions on a made-up tree: killed and run again, on one thread or two, to the same bits.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use longtail_tests::{Kills, Outcome, TinyRun, assert_same_bits, binary, finish, root, run_all, run_killed, xtask};

const KILLS: usize = 4;

fn tree(out: &Path) -> Outcome {
    let sizes =
        ["--classes", "6", "--train-images", "60", "--val-per-class", "4", "--test-per-class", "3", "--side", "40"];
    finish(xtask().args(["data", "synthesize", "imagenet-lt", "--out"]).arg(out).args(sizes))
}

fn run(tree: &Path) -> TinyRun {
    TinyRun::of(&root().join("tests/recipes/tiny-photos.yaml"), Some(tree), &[])
}

#[test]
fn photographs_through_every_stage_with_kills_on_the_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree_dir = folder.path().join("tree");
    let made = tree(&tree_dir);
    assert_eq!(made.code, Some(0), "{}", made.words);
    let again = tree(&tree_dir);
    assert!(again.words.contains("nothing to do"), "{}", again.words);

    // Not the published set, and said so; but in order.
    let straight = run(&tree_dir);
    let mut check = Command::new(binary("datasets"));
    check.args(["check", "--recipe"]).arg(straight.layout().recipe()).arg("--data").arg(&tree_dir);
    let checked = finish(&mut check);
    assert_eq!(checked.code, Some(1), "{}", checked.words);

    let time = run_all(&straight, 2, &mut Kills::default());
    let (killed, _) = run_killed(|| run(&tree_dir), 1, (KILLS, time, 4));
    assert_same_bits(&straight.dir, &killed.dir);
}

#[test]
fn a_pack_of_the_photographs_as_they_are_trains_the_same_backbone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree_dir = folder.path().join("tree");
    assert_eq!(tree(&tree_dir).code, Some(0));
    let recipe = root().join("tests/recipes/tiny-photos.yaml");
    let packed = TinyRun::of(&recipe, Some(&tree_dir), &[("data.packed", "true")]);
    let without = Command::new(binary("representation"))
        .arg("--recipe")
        .arg(packed.layout().recipe())
        .arg("--run")
        .arg(&packed.dir)
        .args(["--variant", packed.recipe.used_representations()[0], "--data"])
        .arg(&tree_dir)
        .output()
        .expect("the stage starts");
    let words = Outcome::from(without).words;
    assert!(words.contains("does not exist") && words.contains("hint: make it: cargo xtask data pack"), "{words}");

    // No photograph of the tree is larger, so each is stored byte for byte.
    let mut pack = xtask();
    pack.args(["data", "pack"]).arg(&recipe).arg("--data").arg(&tree_dir).args(["--short", "1024"]);
    let made = finish(&mut pack);
    assert_eq!(made.code, Some(0), "{}", made.words);
    let plain = run(&tree_dir);
    for run in [&plain, &packed] {
        run_all(run, 2, &mut Kills::default());
    }
    for variant in plain.recipe.used_representations() {
        let backbone = |run: &TinyRun| {
            let file = run.layout().representation(variant).join("backbone.safetensors");
            std::fs::read(file).expect("a finished stage")
        };
        assert!(backbone(&plain) == backbone(&packed), "{variant}");
    }
    let split = |run: &TinyRun| std::fs::read(run.layout().split()).expect("a split");
    assert!(split(&plain) != split(&packed), "a pack has an identity of its own");
}

/// The words of the command in the recipe's header that trains on a made-up tree; continued lines are one, quotes are taken off.
fn documented_command() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("pipelines/imagenet-lt.yaml")).expect("a recipe");
    let begin =
        text.find("cargo xtask reproduce imagenet-lt --data runs/tree").expect("the command stands in the header");
    let mut command = String::new();
    for line in text[begin..].lines() {
        let line = line.trim_start_matches('#').trim();
        command += line.trim_end_matches('\\');
        if !line.ends_with('\\') {
            break;
        }
    }
    // Text in quotes is every second piece.
    let pieces = command.split('\'').enumerate().flat_map(|(number, piece)| match number % 2 {
        0 => piece.split_whitespace().map(str::to_owned).collect(),
        _ => vec![piece.to_owned()],
    });
    pieces.skip(2).collect()
}

/// `documented_command` with the tree and the folder of runs elsewhere.
fn documented(tree: &Path, runs: &Path) -> Command {
    let mut command = xtask();
    for word in documented_command() {
        match word.as_str() {
            "runs/tree" => command.arg(tree),
            "runs/tree-runs" => command.arg(runs),
            _ => command.arg(word),
        };
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn the_command_in_the_recipe_is_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = documented(folder.path(), &folder.path().join("runs"));
    let plan = finish(command.arg("--dry-run").stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(plan.code, Some(0), "{}", plan.words);
    assert!(plan.words.contains("15 stages to run"), "{}", plan.words);
}

/// Minutes: `cargo test --release -p longtail-tests --test photos -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes: ResNeXt-50 at 64 pixels, twice"]
fn the_command_in_the_recipe_learns_every_group_and_survives_kills() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree_dir = folder.path().join("tree");
    let made = finish(xtask().args(["data", "synthesize", "imagenet-lt", "--classes", "20", "--out"]).arg(&tree_dir));
    assert_eq!(made.code, Some(0), "{}", made.words);
    let runs = [folder.path().join("straight"), folder.path().join("killed")];
    let begun = Instant::now();
    assert!(documented(&tree_dir, &runs[0]).status().expect("xtask starts").success());
    let whole = begun.elapsed();
    println!("the straight run took {whole:.0?}");

    let report = std::fs::read(runs[0].join("imagenet-lt/report/report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 11);
    for row in rows {
        let groups = ["many", "medium", "few", "all"].map(|group| row[group].as_f64().expect("a number"));
        println!("{:20} many, medium, few, all: {groups:?}", row["method"].as_str().expect("a name"));
        assert!(groups.iter().all(|&accuracy| accuracy > 5.0), "chance is 5 percent");
    }

    // SIGKILL for xtask; the stage at work dies with it.
    let mut kills = 0;
    for part in [0.1, 0.25, 0.4, 0.3, 0.15] {
        let mut child = documented(&tree_dir, &runs[1]).spawn().expect("xtask starts");
        let until = Instant::now() + whole.mul_f64(part);
        while Instant::now() < until && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        kills += usize::from(child.try_wait().expect("a child").is_none());
        let _ = child.kill(); // it may be done
        child.wait().expect("a child ends");
        // The stage hears of it a moment later; until then its folder is held, and a new start would say so and leave.
        std::thread::sleep(Duration::from_secs(2));
    }
    assert!(kills >= 3, "only {kills} of 5 moments fell before the end");
    println!("killed {kills} times");
    assert!(documented(&tree_dir, &runs[1]).status().expect("xtask starts").success());
    assert_same_bits(&runs[0].join("imagenet-lt/seed-0"), &runs[1].join("imagenet-lt/seed-0"));
}
