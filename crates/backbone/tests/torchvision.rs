//! State dicts as torchvision saves them come in strictly, and what we write has the names that torchvision loads.

use std::path::Path;

use longtail_artifact::{NamedTensor, TensorData, write_tensors};
use longtail_backbone::{
    Architecture, ImageShape, Network, ParamKind, SavedBackbone, from_torchvision, save_backbone, to_tensors,
};
use longtail_ops::stream;
use serde_json::{Map, Value};

const IMAGE: ImageShape = ImageShape { height: 33, width: 47, channels: 3 };
const RESNET50: Architecture = Architecture::ImageNetResNet { depth: 50 };

struct Weights {
    params: Vec<f32>,
    running: Vec<f32>,
    tensors: Vec<NamedTensor>,
}

/// What `safetensors.torch.save_file(resnet50().state_dict(), …)` holds: our tensors, `fc.*`, and a counter for each norm.
fn state_dict(classes: usize) -> Weights {
    let network = Network::<f32>::new(&RESNET50, IMAGE).expect("possible");
    let (params, running) = network.init(&mut stream(0, "test/weights", 0, 0));
    let mut tensors: Vec<NamedTensor> = to_tensors(&network, &params, &running)
        .into_iter()
        .map(|(name, shape, values)| NamedTensor { name, shape, data: TensorData::F32(values) })
        .collect();
    for entry in network.buffers().entries().iter().filter(|entry| entry.kind == ParamKind::RunningMean) {
        let name = entry.name.replace("running_mean", "num_batches_tracked");
        tensors.push(NamedTensor { name, shape: vec![], data: TensorData::I64(vec![100_000]) });
    }
    let weight = TensorData::F32(vec![0.5; classes * 2048]);
    tensors.push(NamedTensor { name: "fc.weight".into(), shape: vec![classes, 2048], data: weight });
    let bias = TensorData::F32(vec![0.5; classes]);
    tensors.push(NamedTensor { name: "fc.bias".into(), shape: vec![classes], data: bias });
    Weights { params, running, tensors }
}

fn written(folder: &Path, tensors: &[NamedTensor]) -> std::path::PathBuf {
    let path = folder.join("resnet50.safetensors");
    write_tensors(&path, tensors, &Value::Null).expect("writable");
    path
}

#[test]
fn a_state_dict_becomes_our_file_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Weights { params, running, mut tensors } = state_dict(7);
    let imported =
        from_torchvision(&written(folder.path(), &tensors), RESNET50, IMAGE).expect("as torchvision saves it");
    assert!(imported.params == params && imported.running == running);

    let ours = folder.path().join("backbone.safetensors");
    save_backbone(&ours, &imported.network, &imported.params, &imported.running, &Map::new()).expect("writable");
    let again = SavedBackbone::open(&ours).expect("our form");
    assert!(again.params == params && again.running == running && *again.network.architecture() == RESNET50);
    // Files from before the counters, and backbones alone, come in as well: our own among them.
    tensors.retain(|tensor| !tensor.name.ends_with("num_batches_tracked") && !tensor.name.starts_with("fc."));
    let bare = from_torchvision(&written(folder.path(), &tensors), RESNET50, IMAGE).expect("nothing is missing");
    assert!(bare.params == params);
    let own = from_torchvision(&ours, RESNET50, IMAGE).expect("our names are torchvision's");
    assert!(own.params == params && own.running == running);
}

#[test]
fn anything_else_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = state_dict(3).tensors;
    let refused = |change: &dyn Fn(&mut Vec<NamedTensor>), architecture: Architecture| {
        let mut tensors = good.clone();
        change(&mut tensors);
        let path = written(folder.path(), &tensors);
        // Not `expect_err`, which would print all the weights.
        let Err(error) = from_torchvision(&path, architecture, IMAGE) else { panic!("it was taken") };
        let error = error.to_string();
        assert!(error.contains("resnet50.safetensors"), "{error}");
        error
    };
    type Change<'a> = &'a dyn Fn(&mut Vec<NamedTensor>);
    let cases: [(&str, Change<'_>); 8] = [
        ("`layer4.2.conv3.weight` [2048, 512, 1, 1] of resnet50 is missing", &|tensors| {
            tensors.retain(|tensor| tensor.name != "layer4.2.conv3.weight");
        }),
        ("`layer5.0.conv1.weight` does not belong to resnet50", &|tensors| {
            tensors[0].name = "layer5.0.conv1.weight".into();
        }),
        ("`bn9.num_batches_tracked` does not belong", &|tensors| {
            let counter = tensors.iter_mut().find(|tensor| tensor.name == "bn1.num_batches_tracked");
            counter.expect("there").name = "bn9.num_batches_tracked".into();
        }),
        ("`bn1.num_batches_tracked` does not belong", &|tensors| {
            let counter = tensors.iter_mut().find(|tensor| tensor.name == "bn1.num_batches_tracked").expect("there");
            (counter.shape, counter.data) = (vec![2], TensorData::I64(vec![1, 2]));
        }),
        ("`fc.bias` [3]", &|tensors| tensors.retain(|tensor| tensor.name != "fc.bias")),
        ("`fc.weight` has shape [3, 1024]", &|tensors| {
            let weight = tensors.iter_mut().find(|tensor| tensor.name == "fc.weight").expect("there");
            (weight.shape, weight.data) = (vec![3, 1024], TensorData::F32(vec![0.0; 3 * 1024]));
        }),
        ("holds NaN at index 5", &|tensors| {
            if let TensorData::F32(values) = &mut tensors[1].data {
                values[5] = f32::NAN;
            }
        }),
        ("`bn1.weight`", &|tensors| {
            let weight = tensors.iter_mut().find(|tensor| tensor.name == "bn1.weight").expect("there");
            weight.data = TensorData::F64(vec![0.1; 64]); // what f32 would round
        }),
    ];
    for (words, change) in cases {
        let error = refused(change, RESNET50);
        assert!(error.contains(words), "{error}: no `{words}`");
    }
    let error = refused(&|_| {}, Architecture::ImageNetResNet { depth: 101 });
    assert!(error.contains("of resnet101 is missing"), "{error}");
    let error = refused(&|_| {}, Architecture::ResNeXt50);
    assert!(error.contains("resnext50_32x4d needs"), "{error}");
}
