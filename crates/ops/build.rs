//! With feature `cuda`: the GPU's kernels as PTX, for every device since compute capability 8.0 and for 9.0.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=kernels");
    println!("cargo:rerun-if-env-changed=NVCC");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let nvcc = std::env::var("NVCC").ok().unwrap_or_else(|| match std::env::var("CUDA_HOME") {
        Ok(home) => format!("{home}/bin/nvcc"),
        Err(_) => "nvcc".to_owned(),
    });
    for capability in ["80", "90"] {
        let ptx = Path::new(&out).join(format!("kernels-{capability}.ptx"));
        let run = Command::new(&nvcc)
            .args(["-ptx", "-O3", "-std=c++17", &format!("-arch=compute_{capability}"), "-o"])
            .args([&ptx, Path::new("kernels/all.cu")])
            .status();
        match run {
            Ok(status) if status.success() => {}
            Ok(status) => panic!("`{nvcc}` could not compile the kernels ({status}); see its messages above"),
            Err(error) => panic!(
                "feature `cuda` needs NVIDIA's compiler, and `{nvcc}` did not start ({error}). Install the CUDA toolkit \
                 (12.0 or later) and set CUDA_HOME or NVCC; or build without the feature"
            ),
        }
    }
}
