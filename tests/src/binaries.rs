//! The real binaries: those that `cargo xtask test` names, else built once a test program by the cargo that runs the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::root;

/// All packages with a binary, in one command: one set of packages means one choice of dependency features.
const PACKAGES: [&str; 7] = [
    "xtask",
    "longtail-bench",
    "longtail-datasets",
    "longtail-representation",
    "longtail-features",
    "longtail-classifier",
    "longtail-report",
];

/// Tells xtask to take the binaries of a folder.
pub const PREBUILT_VARIABLE: &str = "LONGTAIL_BINARIES";

/// The path of one binary: `xtask`, `datasets`, `representation`, `features`, `classifier`, `report` or
/// `bench-worker`.
pub fn binary(name: &str) -> &'static Path {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    BUILT
        .get_or_init(|| prebuilt().unwrap_or_else(build))
        .get(name)
        .unwrap_or_else(|| panic!("the build made no binary called {name}"))
}

/// `cargo xtask` as a user starts it, in the root, with nobody at the keyboard.
pub fn xtask() -> Command {
    let mut command = Command::new(binary("xtask"));
    command.current_dir(root()).env("CARGO", env!("CARGO")).stdin(Stdio::null());
    command.env_remove("RUST_BACKTRACE");
    // They are built; xtask need not ask cargo again each time. One test leaves this out.
    command.env(PREBUILT_VARIABLE, binary("report").parent().expect("a binary lies in a folder"));
    command
}

/// Every binary in the folder that [`PREBUILT_VARIABLE`] names, if it names one and they are all there.
fn prebuilt() -> Option<BTreeMap<String, PathBuf>> {
    let folder = PathBuf::from(std::env::var_os(PREBUILT_VARIABLE)?);
    let names = PACKAGES.iter().map(|package| match *package {
        "longtail-bench" => "bench-worker",
        package => package.trim_start_matches("longtail-"),
    });
    let found: BTreeMap<String, PathBuf> =
        names.map(|name| (name.to_owned(), folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))).collect();
    found.values().all(|path| path.is_file()).then_some(found)
}

fn build() -> BTreeMap<String, PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--quiet", "--message-format=json-render-diagnostics"]);
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    let output = command.current_dir(root()).stderr(Stdio::inherit()).output().expect("cargo starts");
    assert!(output.status.success(), "the binaries build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let path = message.get("executable")?.as_str()?;
            Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
        })
        .collect()
}
