//! `features import` as a person calls it: a state dict becomes the backbone that stage 2 opens.

use std::path::Path;
use std::process::Command;

use longtail_artifact::{NamedTensor, TensorData, TensorFile, write_tensors};
use longtail_backbone::{Architecture, ImageShape, Network, to_tensors};
use longtail_features::FrozenBackbone;
use serde_json::Value;

const WEIGHTS: &str = "weights.safetensors";

fn import(folder: &Path, weights: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_features"));
    command.current_dir(folder).args(["import", weights, "--out", "deep/backbone.safetensors"]).args(more);
    let output = command.output().expect("starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn weights_become_a_backbone_and_a_head() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = ImageShape { height: 64, width: 64, channels: 3 };
    let network = Network::<f32>::new(&Architecture::ImageNetResNet { depth: 50 }, image).expect("builds");
    let (params, running) = network.init(&mut longtail_ops::stream(0, "test", 0, 0));
    let mut tensors: Vec<NamedTensor> = to_tensors(&network, &params, &running)
        .into_iter()
        .map(|(name, shape, values)| NamedTensor { name, shape, data: TensorData::F32(values) })
        .collect();
    let fc = |name: &str, shape: &[usize]| NamedTensor {
        name: name.into(),
        shape: shape.to_vec(),
        data: TensorData::F32(vec![0.25; shape.iter().product()]),
    };
    tensors.extend([fc("fc.weight", &[3, 2048]), fc("fc.bias", &[3])]);
    write_tensors(&folder.path().join("weights.safetensors"), &tensors, &Value::Null).expect("writable");

    let (code, said) = import(folder.path(), WEIGHTS, &["--architecture", "resnext50_32x4d"]);
    assert!(code == Some(2) && said.contains("cannot be imported as resnext50_32x4d"), "{said}");
    let (code, said) = import(folder.path(), WEIGHTS, &["--architecture", "resnet32"]);
    assert!(code == Some(2) && said.contains("`--architecture resnet32` is not a torchvision network"), "{said}");
    assert!(!folder.path().join("deep").exists());

    std::fs::write(folder.path().join("weights.pth"), b"PK\x03\x04 and so on").expect("writable");
    for (file, wanted) in [("weights.pth", "was written by torch.save"), ("none.safetensors", "does not exist")] {
        let (code, said) = import(folder.path(), file, &["--architecture", "resnet50"]);
        assert!(code == Some(2) && said.contains(wanted) && said.contains("hint: "), "{said}");
    }
    let over = ["--architecture", "resnet50", "--head", "deep/../weights.safetensors"];
    std::fs::create_dir(folder.path().join("deep")).expect("writable");
    let (code, said) = import(folder.path(), WEIGHTS, &over);
    assert!(code == Some(2) && said.contains("which this command reads"), "{said}");

    let more = [
        "--architecture",
        "resnet50",
        "--image-side",
        "64",
        "--normalize",
        "inaturalist",
        "--head",
        "head.safetensors",
    ];
    let (code, said) = import(folder.path(), WEIGHTS, &more);
    assert!(code == Some(0) && said.contains("d = 2048") && said.contains("3 classes"), "{said}");
    let path = folder.path().join("deep/backbone.safetensors");
    let mut backbone = FrozenBackbone::open(&path).expect("stage 2 takes it");
    assert_eq!((backbone.image(), backbone.num_classes()), (image, None));
    let mut straight = network;
    let pixels: Vec<f32> = (0..image.len()).map(|at| (at as f32 * 0.37).sin()).collect();
    let mut wanted = vec![0.0; 2048];
    straight.infer(&params, &running, &pixels, 1, &mut wanted).expect("fits");
    assert!(backbone.features(&pixels, 1).expect("fits") == wanted);
    let metadata = TensorFile::open(&path).expect("sound").metadata().clone();
    assert_eq!((&metadata["imported"], &metadata["normalize"]["mean"][1]), (&"torchvision".into(), &0.471.into()));
}
