//! What the build needs from the system, and the checks of the code from Rust's toolchain; how to install it.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::WithHint;

use crate::child::run_tool;
use crate::cli::SetupArgs;
use crate::{binaries, openblas};

/// A thing that the work cannot be done without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    CCompiler,
    OpenBlas,
    /// A component of the toolchain, which small installations of Rust leave out.
    Rustfmt,
    /// Another one.
    Clippy,
}

impl Need {
    /// Where it was found.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn find(self) -> Result<String, String> {
        match self {
            Need::CCompiler => find_c_compiler(),
            Need::OpenBlas => openblas::find(),
            Need::Rustfmt => find_component("rustfmt", "fmt"),
            Need::Clippy => find_component("clippy", "clippy"),
        }
    }

    /// Its name for the system's package manager; `None` for what rustup installs.
    fn package(self, manager: Manager) -> Option<&'static str> {
        match (self, manager) {
            (Need::CCompiler, Manager::Apt) => Some("build-essential"),
            (Need::CCompiler, _) => Some("gcc"),
            (Need::OpenBlas, Manager::Apt) => Some("libopenblas-dev"),
            (Need::OpenBlas, Manager::Dnf) => Some("openblas-devel"),
            (Need::OpenBlas, Manager::Pacman | Manager::Brew) => Some("openblas"),
            (Need::Rustfmt | Need::Clippy, _) => None,
        }
    }

    /// Its name for rustup; `None` for what the system has.
    fn component(self) -> Option<&'static str> {
        match self {
            Need::CCompiler | Need::OpenBlas => None,
            Need::Rustfmt => Some("rustfmt"),
            Need::Clippy => Some("clippy"),
        }
    }
}

/// A package manager that we know how to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manager {
    Apt,
    Dnf,
    Pacman,
    Brew,
}

impl Manager {
    /// The first one that this machine has.
    pub fn detect() -> Option<Manager> {
        [(Manager::Apt, "apt-get"), (Manager::Dnf, "dnf"), (Manager::Pacman, "pacman"), (Manager::Brew, "brew")]
            .into_iter()
            .find(|(_, program)| in_path(program))
            .map(|(manager, _)| manager)
    }

    /// The commands that install `packages`, without sudo.
    fn commands(self, packages: &[&str]) -> Vec<Vec<String>> {
        let line = |words: &[&str]| words.iter().chain(packages).map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match self {
            // A fresh machine has no package lists, an old one stale ones.
            Manager::Apt => vec![
                vec!["apt-get".to_owned(), "update".to_owned()],
                line(&["apt-get", "install", "-y", "--no-install-recommends"]),
            ],
            Manager::Dnf => vec![line(&["dnf", "install", "-y"])],
            Manager::Pacman => vec![line(&["pacman", "-S", "--noconfirm", "--needed"])],
            Manager::Brew => vec![line(&["brew", "install"])],
        }
    }
}

/// The commands that install `needs` on this machine, sudo in front where it takes it; None without a program that installs them.
pub fn install_commands(needs: &[Need]) -> Option<Vec<Vec<String>>> {
    let mut commands = Vec::new();
    if needs.iter().any(|need| need.component().is_none()) {
        let manager = Manager::detect()?;
        let packages: Vec<&str> = needs.iter().filter_map(|need| need.package(manager)).collect();
        commands = with_sudo(manager.commands(&packages), manager != Manager::Brew && !is_root());
    }
    let components = component_command(needs);
    if components.is_some() && !in_path("rustup") {
        return None;
    }
    commands.extend(components);
    Some(commands)
}

fn component_command(needs: &[Need]) -> Option<Vec<String>> {
    let components: Vec<&str> = needs.iter().filter_map(|need| need.component()).collect();
    let command = ["rustup", "component", "add"].iter().chain(&components).map(|word| (*word).to_owned()).collect();
    (!components.is_empty()).then_some(command)
}

/// `install_commands` on one line.
pub fn install_line(needs: &[Need]) -> String {
    if let Some(commands) = install_commands(needs) {
        return commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" && ");
    }
    let mut by_hand = Vec::new();
    if needs.iter().any(|need| need.component().is_none()) {
        by_hand.push("install OpenBLAS and a C compiler by hand, or set LONGTAIL_OPENBLAS_DIR to the folder that holds libopenblas".to_owned());
    }
    by_hand.extend(component_command(needs).map(|words| {
        format!("with Rust of rustup: {}; else the package of that name, from where this Rust is", words.join(" "))
    }));
    by_hand.join("; ")
}

fn with_sudo(commands: Vec<Vec<String>>, sudo: bool) -> Vec<Vec<String>> {
    commands
        .into_iter()
        .map(|words| if sudo { std::iter::once("sudo".to_owned()).chain(words).collect() } else { words })
        .collect()
}

/// Makes sure that all of `needs` are there; installs them where `--setup` allows it.
///
/// # Errors
/// Something is missing and may not, or cannot, be installed; the hint names the command.
pub fn ensure(needs: &[Need], arguments: SetupArgs) -> Result<()> {
    let missing: Vec<(Need, String)> =
        needs.iter().filter_map(|need| need.find().err().map(|reason| (*need, reason))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>().join("; ");
    let needs: Vec<Need> = missing.iter().map(|(need, _)| *need).collect();
    let line = install_line(&needs);
    if !arguments.setup {
        return Err(anyhow!("{what}")).hint(&format!("{line}\n      or add --setup (and --yes) to install it"));
    }
    let Some(commands) = install_commands(&needs) else {
        return Err(anyhow!(
            "{what}, and nothing here can install it: apt-get, dnf, pacman or brew for packages, rustup for components"
        ))
        .hint(&line);
    };
    eprintln!("missing: {what}");
    if !confirmed(&line, arguments.yes)? {
        return Err(anyhow!("not installed: {what}")).hint(&line);
    }
    for words in commands {
        eprintln!("running: {}", words.join(" "));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::from(std::io::stderr()));
        // `apt-get update` may fail for one unreachable list while the one that matters is there: the install decides.
        let may_fail = words.last().is_some_and(|word| word == "update");
        if !run_tool(&mut command)? && !may_fail {
            return Err(anyhow!("`{}` failed", words.join(" "))).hint("see its messages above");
        }
    }
    for need in needs {
        if let Err(reason) = need.find() {
            return Err(anyhow!("still missing after the installation: {reason}"))
                .hint("`cargo xtask doctor` shows what it searched for");
        }
    }
    Ok(())
}

fn confirmed(line: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("--setup asks before it installs anything, and there is no terminal to ask on"))
            .hint("add --yes");
    }
    eprint!("install with `{line}`? [y/N] ");
    std::io::stderr().flush().context("cannot write to the terminal")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn find_c_compiler() -> Result<String, String> {
    let asked = std::env::var("CC").ok().filter(|name| !name.is_empty());
    let names: Vec<&str> = asked.as_deref().into_iter().chain(["cc", "gcc", "clang"]).collect();
    for name in names {
        let answer = Command::new(name).arg("--version").stdin(Stdio::null()).output();
        if let Some(output) = answer.ok().filter(|output| output.status.success()) {
            let words = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or(name).to_owned();
            return Ok(words);
        }
    }
    Err("no C compiler (cc, gcc or clang) was found; Rust links with it".to_owned())
}

fn find_component(name: &str, verb: &str) -> Result<String, String> {
    let answer = Command::new(binaries::cargo()).args([verb, "--version"]).stdin(Stdio::null()).output();
    match answer.ok().filter(|output| output.status.success()) {
        Some(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        None => Err(format!("{name} is missing (`cargo {verb}` does not run)")),
    }
}

fn in_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn is_root() -> bool {
    let answer = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    answer.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_reads_its_lists_first_and_sudo_stands_in_front_of_both() {
        let commands = with_sudo(Manager::Apt.commands(&["libopenblas-dev"]), true);
        let lines: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
        assert_eq!(lines, ["sudo apt-get update", "sudo apt-get install -y --no-install-recommends libopenblas-dev"]);
    }

    #[test]
    fn every_need_is_known_to_who_installs_it() {
        for manager in [Manager::Apt, Manager::Dnf, Manager::Pacman, Manager::Brew] {
            for need in [Need::CCompiler, Need::OpenBlas, Need::Rustfmt, Need::Clippy] {
                assert!(need.package(manager).is_some() != need.component().is_some(), "{need:?}");
            }
        }
        let words = component_command(&[Need::OpenBlas, Need::Rustfmt, Need::Clippy]).expect("two components");
        assert_eq!(words.join(" "), "rustup component add rustfmt clippy");
        assert_eq!(component_command(&[Need::OpenBlas]), None);
    }
}
