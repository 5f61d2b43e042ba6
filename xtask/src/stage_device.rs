//! The device that stages are told to use.

use longtail_artifact::{Device, DeviceChoice};

/// What stages are told. What we build for `auto` is for the CPU: a GPU gives other roundings, and is taken where it is asked for.
/// Binaries that others built may know CUDA; they say themselves what `auto` comes to.
pub fn stage_device(asked: DeviceChoice, prebuilt: bool) -> String {
    match asked {
        DeviceChoice::Auto if !prebuilt => Device::Cpu.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_cpu_unless_the_binaries_are_someone_elses() {
        let of = |text: &str, prebuilt| stage_device(text.parse().expect("a device"), prebuilt);
        assert_eq!((of("auto", false), of("auto", true)), ("cpu".to_owned(), "auto".to_owned()));
        assert_eq!((of("cuda", false), of("cuda:1", true)), ("cuda:0".to_owned(), "cuda:1".to_owned()));
        assert_eq!(of("cpu", true), "cpu");
    }
}
