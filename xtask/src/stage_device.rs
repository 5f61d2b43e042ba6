//! Which programs compute, those for CPUs or those for CUDA, and the device that they are told.

use anyhow::{Result, anyhow};
use longtail_artifact::cli::WithHint;
use longtail_artifact::{Device, DeviceChoice};

use crate::binaries::{self, Gpus, Programs};
use crate::cuda::{self, Lack};

/// What `--device` comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageDevice {
    /// What stages are told: `cpu`, `cuda:N`, or `auto` where only programs for CUDA can tell.
    pub word: String,
    /// What programs are needed.
    pub gpus: Gpus,
}

impl StageDevice {
    /// `auto` is the CPU where we build: a GPU gives other roundings, and is taken where it is asked for. Of programs that others built, those
    /// for CUDA are taken if they start here; they say themselves whether a GPU answers.
    pub fn of(asked: DeviceChoice) -> Self {
        let (device, why) = choose(asked, &binaries::prebuilt_on_gpus(), cuda::starts);
        if let Some(why) = why {
            eprintln!("the stages run on the cpu: {why}");
        }
        device
    }

    /// Computes on the CPU.
    pub fn cpu() -> Self {
        Self { word: Device::Cpu.to_string(), gpus: Gpus::No }
    }

    /// Whether it is a GPU for certain.
    pub fn is_gpu(&self) -> bool {
        self.word.starts_with("cuda")
    }

    /// Before anything is built: refuses a GPU that cannot be computed on, in one line. A plan can be made without, and says what is missing.
    ///
    /// # Errors
    /// What is missing, all of it; never of a plan.
    pub fn require(&self, is_plan: bool) -> Result<()> {
        let outcome = match self.is_gpu() {
            true if binaries::are_prebuilt() => started(&binaries::prebuilt_on_gpus()),
            true => cuda::can_build_and_run(),
            false => Ok(()),
        };
        match outcome {
            Err(Lack { what, hint }) if is_plan => {
                eprintln!("warning: will be refused: `--device {}`: {what}\nhint: {hint}", self.word);
                Ok(())
            }
            outcome => self.refuse(outcome),
        }
    }

    /// Once all is built: as [`StageDevice::require`], of the programs themselves.
    ///
    /// # Errors
    /// As there.
    pub fn require_started(&self, programs: &Programs) -> Result<()> {
        if self.is_gpu() { self.refuse(started(programs)) } else { Ok(()) }
    }

    fn refuse(&self, outcome: Result<(), Lack>) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(lack) => Err(anyhow!("`--device {}`: {}", self.word, lack.what)).hint(&lack.hint),
        }
    }
}

/// Whether the programs for CUDA are there and start; they are linked alike, so one stands for all.
fn started(programs: &Programs) -> Result<(), Lack> {
    match programs.values().next() {
        Some(program) => cuda::starts(program),
        None => Err(Lack {
            what: format!("the folder in {} has no CUDA programs", binaries::PREBUILT_VARIABLE),
            hint: format!(
                "they belong in its folder `{}`; `--device cpu` needs none; unset {} to build them",
                binaries::CUDA_FOLDER,
                binaries::PREBUILT_VARIABLE
            ),
        }),
    }
}

/// And why a GPU was passed over, where there was a choice.
fn choose(
    asked: DeviceChoice,
    prebuilt: &Programs,
    starts: impl Fn(&std::path::Path) -> Result<(), Lack>,
) -> (StageDevice, Option<String>) {
    let cpu = StageDevice::cpu();
    match (asked, prebuilt.values().next()) {
        (DeviceChoice::Only(Device::Cpu), _) | (DeviceChoice::Auto, None) => (cpu, None),
        (DeviceChoice::Auto, Some(program)) => match starts(program) {
            Ok(()) => (StageDevice { word: asked.to_string(), gpus: Gpus::Cudnn }, None),
            Err(lack) => (cpu, Some(lack.what)),
        },
        (DeviceChoice::Only(_), _) => (StageDevice { word: asked.to_string(), gpus: Gpus::Cudnn }, None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn auto_is_the_cpu_unless_there_are_programs_for_cuda_that_start() {
        let theirs = Programs::from([("features".to_owned(), PathBuf::from("bin/cuda/features"))]);
        let of = |text: &str, programs: &Programs, starts: bool| {
            let outcome = |_: &std::path::Path| match starts {
                true => Ok(()),
                false => Err(Lack { what: "no driver".to_owned(), hint: String::new() }),
            };
            let (device, why) = choose(text.parse().expect("a device"), programs, outcome);
            (device.word.clone(), device.gpus, why)
        };
        let none = Programs::new();
        for programs in [&none, &theirs] {
            assert_eq!(of("cpu", programs, true), ("cpu".to_owned(), Gpus::No, None));
            assert_eq!(of("cuda", programs, true), ("cuda:0".to_owned(), Gpus::Cudnn, None));
            assert_eq!(of("cuda:1", programs, false), ("cuda:1".to_owned(), Gpus::Cudnn, None), "refused by `require`");
        }
        assert_eq!(of("auto", &none, true), ("cpu".to_owned(), Gpus::No, None));
        assert_eq!(of("auto", &theirs, true), ("auto".to_owned(), Gpus::Cudnn, None));
        assert_eq!(of("auto", &theirs, false), ("cpu".to_owned(), Gpus::No, Some("no driver".to_owned())));
    }
}
