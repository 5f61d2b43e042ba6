//! Where a stage computes: the words of `--device`, and what they come to in one build on one machine.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::ArtifactError;
use crate::device::Device;

/// What `--device` asks for: `cpu`, `cuda` (number 0), `cuda:N`, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// CUDA where the build has it and a device answers, else the CPU.
    Auto,
    /// That one, or an error.
    Only(Device),
}

impl Display for DeviceChoice {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Only(device) => device.fmt(formatter),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = ArtifactError;

    fn from_str(text: &str) -> Result<Self, ArtifactError> {
        let number = match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Only(Device::Cpu)),
            "cuda" => "0",
            _ => text.strip_prefix("cuda:").unwrap_or_default(),
        };
        // `parse` alone would take `+1`.
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match number.parse() {
            Ok(ordinal) if digits => Ok(Self::Only(Device::Cuda(ordinal))),
            _ => Err(ArtifactError::Setting(format!(
                "`{text}` is not a device: write cpu, cuda, cuda:N (GPU number N, from 0) or auto"
            ))),
        }
    }
}

/// What a stage's build can do with GPUs.
#[derive(Debug, Clone, Copy)]
pub enum Gpus {
    /// Nothing: it was built without the feature `cuda`.
    NotBuilt,
    /// It computes on them; the function counts those that answer, or says in words why none can.
    Counted(fn() -> Result<usize, String>),
}

impl DeviceChoice {
    /// The device, and a line to say where there was something to choose.
    ///
    /// # Errors
    /// [`ArtifactError::NoCuda`], [`ArtifactError::NoDevice`].
    pub fn settle(self, stage: &'static str, gpus: Gpus) -> Result<(Device, Option<String>), ArtifactError> {
        let asked = match self {
            Self::Only(Device::Cpu) => return Ok((Device::Cpu, None)),
            Self::Only(Device::Cuda(ordinal)) => Some(ordinal),
            Self::Auto => None,
        };
        match (asked, gpus) {
            (None, Gpus::NotBuilt) => Ok((Device::Cpu, None)),
            (Some(ordinal), Gpus::NotBuilt) => Err(ArtifactError::NoCuda { device: Device::Cuda(ordinal), stage }),
            (None, Gpus::Counted(count)) => {
                let why = match count() {
                    Ok(0) => "this machine has no CUDA device".to_owned(),
                    Ok(_) => return Ok(on_gpu(stage, 0)),
                    Err(why) => why,
                };
                Ok((Device::Cpu, Some(format!("{stage} runs on the cpu: {why}"))))
            }
            (Some(ordinal), Gpus::Counted(count)) => {
                let why = match count() {
                    Ok(found) if ordinal < found => return Ok(on_gpu(stage, ordinal)),
                    Ok(0) => "this machine has no CUDA device".to_owned(),
                    Ok(found) => format!("the last CUDA device of this machine is cuda:{}", found - 1),
                    Err(why) => why,
                };
                Err(ArtifactError::NoDevice { device: Device::Cuda(ordinal), why })
            }
        }
    }
}

fn on_gpu(stage: &str, ordinal: usize) -> (Device, Option<String>) {
    let device = Device::Cuda(ordinal);
    (device, Some(format!("{stage} runs on {device}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(text: &str) -> DeviceChoice {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_word_is_read_and_said_back() {
        for (text, said) in
            [("cpu", "cpu"), ("auto", "auto"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:12", "cuda:12")]
        {
            assert_eq!(choice(text).to_string(), said);
            assert_eq!(choice(said), choice(text));
        }
        for text in [
            "",
            "gpu",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda:+1",
            "cuda:1.0",
            "CUDA",
            "cpu:0",
            "cuda:99999999999999999999",
        ] {
            let problem = text.parse::<DeviceChoice>().expect_err("no device").to_string();
            assert!(problem.contains(&format!("`{text}`")) && problem.contains("cuda:N"), "{problem}");
        }
    }

    #[test]
    fn auto_takes_a_gpu_only_where_the_build_has_it_and_one_answers() {
        let settled = |gpus| choice("auto").settle("features", gpus).expect("never an error");
        assert_eq!(settled(Gpus::NotBuilt), (Device::Cpu, None));
        assert_eq!(settled(Gpus::Counted(|| Ok(2))).0, Device::Cuda(0));
        for (gpus, why) in [
            (Gpus::Counted(|| Ok(0)), "no CUDA device"),
            (Gpus::Counted(|| Err("the driver is too old".to_owned())), "the driver is too old"),
        ] {
            let (device, said) = settled(gpus);
            assert_eq!(device, Device::Cpu);
            assert!(said.expect("a fallback is said").contains(why));
        }
    }

    #[test]
    fn what_is_asked_for_is_given_or_refused() {
        const TWO: Gpus = Gpus::Counted(|| Ok(2));
        assert_eq!(choice("cpu").settle("features", TWO).expect("always there"), (Device::Cpu, None));
        assert_eq!(choice("cuda:1").settle("features", TWO).expect("there").0, Device::Cuda(1));
        let refused = |text: &str, gpus| choice(text).settle("features", gpus).expect_err("not there");
        let problem = refused("cuda:2", TWO).to_string();
        assert!(problem.contains("cuda:2`") && problem.contains("cuda:1"), "{problem}");
        assert!(refused("cuda", Gpus::Counted(|| Ok(0))).to_string().contains("no CUDA device"));
        assert!(refused("cuda", Gpus::Counted(|| Err("no driver".to_owned()))).to_string().contains("no driver"));
        let problem = refused("cuda", Gpus::NotBuilt);
        assert!(problem.to_string().contains("built without"), "{problem}");
        let hint = problem.hint().expect("it says how to build it");
        assert!(hint.contains("cargo build --release -p longtail-features --features cudnn"), "{hint}");
    }
}
