//! What the build needs from the system, and how to install it.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::WithHint;

use crate::child::run_tool;
use crate::cli::SetupArgs;
use crate::openblas;

/// A thing of the system that the build cannot do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    CCompiler,
    OpenBlas,
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
        }
    }

    fn package(self, manager: Manager) -> &'static str {
        match (self, manager) {
            (Need::CCompiler, Manager::Apt) => "build-essential",
            (Need::CCompiler, _) => "gcc",
            (Need::OpenBlas, Manager::Apt) => "libopenblas-dev",
            (Need::OpenBlas, Manager::Dnf) => "openblas-devel",
            (Need::OpenBlas, Manager::Pacman | Manager::Brew) => "openblas",
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

/// The commands that install `needs` on this machine, sudo in front where it takes it; None without a known manager.
pub fn install_commands(needs: &[Need]) -> Option<Vec<Vec<String>>> {
    let manager = Manager::detect()?;
    let packages: Vec<&str> = needs.iter().map(|need| need.package(manager)).collect();
    let sudo = manager != Manager::Brew && !is_root();
    Some(with_sudo(manager.commands(&packages), sudo))
}

fn with_sudo(commands: Vec<Vec<String>>, sudo: bool) -> Vec<Vec<String>> {
    commands
        .into_iter()
        .map(|words| if sudo { std::iter::once("sudo".to_owned()).chain(words).collect() } else { words })
        .collect()
}

/// `install_commands` on one line.
pub fn install_line(needs: &[Need]) -> String {
    match install_commands(needs) {
        Some(commands) => commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" && "),
        None => "install OpenBLAS and a C compiler by hand, or set LONGTAIL_OPENBLAS_DIR to the folder that holds libopenblas".to_owned(),
    }
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
        return Err(anyhow!("{what}, and there is no apt-get, dnf, pacman or brew to install it")).hint(&line);
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
        let commands = with_sudo(Manager::Apt.commands(&[Need::OpenBlas.package(Manager::Apt)]), true);
        let lines: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
        assert_eq!(lines, ["sudo apt-get update", "sudo apt-get install -y --no-install-recommends libopenblas-dev"]);
    }

    #[test]
    fn every_manager_knows_every_need() {
        for manager in [Manager::Apt, Manager::Dnf, Manager::Pacman, Manager::Brew] {
            for need in [Need::CCompiler, Need::OpenBlas] {
                assert!(!need.package(manager).is_empty());
            }
        }
    }
}
