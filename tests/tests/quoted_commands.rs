//! Every command that a document, a recipe's header, a help or a message quotes is one that the programs take: flags, verbs, recipes, and the
//! fields of `--set`. Nothing is built, trained or installed here: plans, helps, and programs that stop at the first missing file.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use longtail_tests::{
    Outcome, PREBUILT_VARIABLE, Quoted, Text, binary, finish, quoted_commands, root, tracked_files, xtask,
};

/// What clap says below each refusal.
const REFUSED_BY_CLAP: &str = "For more information, try";
const VERBS: [&[&str]; 14] = [
    &[],
    &["reproduce"],
    &["run"],
    &["status"],
    &["list"],
    &["doctor"],
    &["data", "check"],
    &["data", "synthesize"],
    &["data", "pack"],
    &["bundle"],
    &["test"],
    &["fmt"],
    &["lint"],
    &["bench"],
];
const HELPS: [(&str, &[&str]); 9] = [
    ("datasets", &["check"]),
    ("datasets", &["synthesize"]),
    ("datasets", &["pack"]),
    ("datasets", &["subset"]),
    ("datasets", &["unpack"]),
    ("representation", &[]),
    ("features", &[]),
    ("classifier", &[]),
    ("classifier", &["generate"]),
];

/// Every tracked text that a person reads, and every help.
fn all_quoted() -> Vec<Quoted> {
    let mut found = Vec::new();
    for file in tracked_files() {
        let name = file.to_string_lossy().into_owned();
        // Tests name what must be refused.
        let kind = match file.extension().and_then(|extension| extension.to_str()) {
            Some("md") => Text::Markdown,
            Some("yaml" | "txt" | "sh") => Text::Plain,
            Some("rs") if !name.contains("tests") && !name.ends_with("xtask/src/cli.rs") => Text::Rust,
            _ => continue,
        };
        let text = std::fs::read_to_string(root().join(&file)).expect("a tracked text is readable");
        found.extend(quoted_commands(&name, &text, kind));
    }
    let helps = VERBS
        .iter()
        .map(|verb| (xtask(), "cargo xtask", *verb))
        .chain(HELPS.iter().map(|(name, verb)| (Command::new(binary(name)), *name, *verb)));
    for (mut command, name, verb) in helps.chain([(Command::new(binary("report")), "report", &[][..])]) {
        let outcome = finish(command.args(verb).arg("--help").env("COLUMNS", "1000"));
        assert_eq!(outcome.code, Some(0), "{name} {verb:?} --help");
        let place = format!("{name} {} --help", verb.join(" "));
        found.extend(quoted_commands(&place, &outcome.words, Text::Plain));
    }
    found
}

/// The words of a command, with something that is there for what stands for it.
fn words(text: &str, temporary: &Path) -> Option<Vec<String>> {
    let folder = temporary.to_string_lossy();
    let words = shlex::split(text)?.into_iter().map(|word| match word.as_str() {
        "NAME" | "{name}" | "{}" | "RECIPE" => "fashion-mnist-lt".to_owned(),
        "STAGE" => "classifier".to_owned(),
        "DIR" | "FILE" | "FOLDER" | "~/data" | "PYTHON" | "PY" | "PROGRAM" => folder.to_string(),
        "path/to/mine.yaml" | "mine.yaml" | "my.yaml" | "r.yaml" => {
            root().join("tests/recipes/tiny.yaml").to_string_lossy().into_owned()
        }
        _ => word,
    });
    // A hint made by `format!` may end in more words.
    Some(words.map(|word| word.trim_end_matches("{more}").to_owned()).collect())
}

/// Writes into a folder of its own what the words would write into the checkout.
fn move_output(words: &mut [String], temporary: &Path) {
    static MOVED: AtomicUsize = AtomicUsize::new(0);
    let Some(at) = words.iter().position(|word| word == "-o" || word == "--out").filter(|at| at + 1 < words.len())
    else {
        return;
    };
    let folder = temporary.join(format!("out-{}", MOVED.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir(&folder).expect("writable");
    let name = Path::new(&words[at + 1]).file_name().unwrap_or_default().to_owned();
    words[at + 1] = folder.join(name).to_string_lossy().into_owned();
}

/// Runs `cargo xtask WORDS` so far that it says whether it takes them.
fn ask_xtask(words: &[String], temporary: &Path) -> Outcome {
    let mut words: Vec<String> =
        words.iter().filter(|word| !matches!(word.as_str(), "--setup" | "--yes" | "--force")).cloned().collect();
    match words.first().map(String::as_str) {
        Some(verb @ ("reproduce" | "run" | "status")) => {
            let plans = verb != "status";
            if let Some(at) = words.iter().position(|word| word == "--runs") {
                words.drain(at..(at + 2).min(words.len()));
            }
            words.extend(["--runs".to_owned(), temporary.join("runs").to_string_lossy().into_owned()]);
            // What stands before `--from` was never made here.
            for flag in ["--dry-run", "--accept-stale"] {
                if plans && !words.iter().any(|word| word == flag) {
                    words.push(flag.to_owned());
                }
            }
        }
        Some("test") => {
            let at = words.iter().position(|word| word == "--").unwrap_or(words.len());
            words.insert(at, "--help".to_owned());
        }
        Some("bundle" | "data") => move_output(&mut words, temporary),
        _ => {}
    }
    // No program lies there, and no cargo: what would be built or started is said to be missing.
    finish(xtask().env(PREBUILT_VARIABLE, temporary).env("CARGO", temporary.join("cargo")).args(&words))
}

/// Runs a stage's binary so far that it says whether it takes the words.
fn ask_stage(name: &str, words: &[String], temporary: &Path) -> Outcome {
    let mut command = Command::new(binary(name));
    let mut words = words.to_vec();
    move_output(&mut words, temporary);
    command.args(&words).current_dir(root()).env_remove("RUST_BACKTRACE");
    // A change without `=` is refused behind all words, and before any work.
    if words.iter().any(|word| word == "--recipe") && words.first().is_some_and(|word| word.starts_with("--")) {
        command.args(["--set", "nothing"]);
    }
    finish(&mut command)
}

/// Why a command is none, if so.
fn problem(quoted: &Quoted, temporary: &Path) -> Option<String> {
    let Some(words) = words(&quoted.text, temporary) else { return Some("its quotes do not close".to_owned()) };
    let of_cargo_run = |words: &[String]| -> Result<(String, Vec<String>), String> {
        let after = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1)).cloned();
        let package = after("-p").ok_or("`cargo run` names no package")?;
        let folder = package.strip_prefix("longtail-").unwrap_or(&package).to_owned();
        if let Some(example) = after("--example") {
            let there = root().join("crates").join(&folder).join("examples").join(format!("{example}.rs")).is_file();
            return if there {
                Ok((String::new(), Vec::new()))
            } else {
                Err(format!("there is no example `{example}`"))
            };
        }
        let own = words.iter().position(|word| word == "--").map_or(words.len(), |at| at + 1);
        Ok((folder, words[own..].to_vec()))
    };
    let (name, arguments) = match (words[0].as_str(), words.get(1).map(String::as_str)) {
        ("cargo", Some("xtask")) => ("xtask".to_owned(), words[2..].to_vec()),
        ("cargo", _) => match of_cargo_run(&words) {
            Ok(found) => found,
            Err(why) => return Some(why),
        },
        // The script hands `bench`, or a recipe with its words, to xtask; `test` and `--check` are its own.
        ("sh", _) => match words.get(2).map(String::as_str) {
            Some("bench") => ("xtask".to_owned(), words[2..].to_vec()),
            Some("test") | None => return None,
            Some(first) => {
                let mut rest: Vec<String> = words[2..].iter().filter(|word| *word != "--check").cloned().collect();
                rest.insert(0, "reproduce".to_owned());
                if first.starts_with('-') {
                    rest.insert(1, "fashion-mnist-lt".to_owned());
                }
                ("xtask".to_owned(), rest)
            }
        },
        (name, _) => (name.to_owned(), words[1..].to_vec()),
    };
    if name.is_empty() {
        return None;
    }
    let asks = |arguments: &[String]| match name.as_str() {
        "xtask" => ask_xtask(arguments, temporary),
        name => ask_stage(name, arguments, temporary),
    };
    let mut outcome = asks(&arguments);
    if quoted.in_prose && outcome.words.contains("the following required arguments were not provided") {
        // A sentence names a verb and leaves out the rest.
        outcome = asks(&[arguments.clone(), vec!["--help".to_owned()]].concat());
    }
    // What stops a command whose words are taken: programs, machines and files that are not there.
    let absent: &[&str] = match name.as_str() {
        "xtask" => &[
            "the build made no binary",
            "cannot start",
            "cannot import torch",
            "cannot run `nvcc`",
            "` does not run)",
            "no GPU",
        ],
        _ => &["has no `=`", "No such file", "there is no", "does not exist", "no files found", "no finished stage"],
    };
    let is_doctor = name == "xtask" && arguments.first().is_some_and(|verb| verb == "doctor");
    let refused = outcome.words.contains(REFUSED_BY_CLAP);
    let taken =
        outcome.code == Some(0) || !refused && (is_doctor || absent.iter().any(|words| outcome.words.contains(words)));
    (!taken).then_some(outcome.words)
}

#[test]
fn every_quoted_command_is_taken() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let quoted = all_quoted();
    assert!(quoted.len() > 100, "only {} commands were found", quoted.len());
    let refused: Vec<String> = quoted
        .iter()
        .filter_map(|quoted| {
            let why = problem(quoted, temporary.path())?;
            Some(format!("{}: {}\n    {}", quoted.place, quoted.text, why.trim().replace('\n', "\n    ")))
        })
        .collect();
    assert!(refused.is_empty(), "{} of {} commands are refused:\n{}", refused.len(), quoted.len(), refused.join("\n"));
}

#[test]
fn a_command_that_has_drifted_is_found_with_file_and_line() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let text = "Fine: `cargo xtask reproduce fashion-mnist-lt --seeds 2`.\n\
                `cargo xtask reproduce cifar100-lt-quick --set representation_defaults.backbone.resnet=32`\n\
                `cargo xtask reproduce no-such-recipe`\n`cargo xtask reproduce fashion-mnist-lt --seedz 2`\n\
                `cargo run -p longtail-ops --example gone`\n`features inspekt --all`\n\
                `cargo run -p longtail-classifier -- --recipe FILE --run DIR --variant ce --method crt --thread 2`\n";
    let refused: Vec<String> = quoted_commands("x.md", text, Text::Markdown)
        .iter()
        .filter(|quoted| problem(quoted, temporary.path()).is_some())
        .map(|quoted| quoted.place.clone())
        .collect();
    assert_eq!(refused, ["x.md:2", "x.md:3", "x.md:4", "x.md:5", "x.md:7"]);
}
