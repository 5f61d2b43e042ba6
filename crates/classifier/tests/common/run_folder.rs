//! A whole run folder on toy data, as stages 1 and 2 leave it.

use std::path::{Path, PathBuf};

use longtail_artifact::{
    Begin, BeginOptions, FileHash, ImageMatch, NamedTensor, RunLayout, StageRun, StageSpec, TensorData, hash_file,
    stage_specs, write_tensors,
};
use longtail_recipe::Recipe;
use longtail_training::HeadWeights;
use serde_json::{Value, json};

use super::toy_data;

pub const COUNTS: [usize; 10] = [60, 50, 40, 30, 25, 20, 15, 10, 8, 6];
pub const DIM: usize = 6;
const TRAINING: &str = "{epochs: 5, batch_size: 32, lr: 0.05, schedule: cosine}";

/// A run folder with its recipe beside it.
pub struct RunFolder {
    pub folder: tempfile::TempDir,
    pub layout: RunLayout,
    pub recipe: PathBuf,
}

pub fn f32s(name: &str, shape: Vec<usize>, values: &[f32]) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape, data: TensorData::F32(values.to_vec()) }
}

pub fn u32s(name: &str, values: &[u32]) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::U32(values.to_vec()) }
}

/// The tensors of a feature file.
pub fn feature_tensors(features: &[f32], labels: &[u32], counts: &[u32], dim: usize) -> Vec<NamedTensor> {
    vec![
        u32s("class_counts", counts),
        f32s("features", vec![labels.len(), dim], features),
        u32s("indices", &(0..labels.len() as u32).collect::<Vec<u32>>()),
        u32s("labels", labels),
    ]
}

impl RunFolder {
    /// Stage 1's and stage 2's files of variant `ce`, manifests included, with two views.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recipe = folder.path().join("toy.yaml");
        let methods = ["crt", "lws", "tailcalib", "tailcalib_x", "mpfa"]
            .map(|method| format!("  {method}: {{{method}: {{training: {TRAINING}}}}}\n"))
            .concat();
        let text = format!(
            "recipe: toy\ndata: {{dataset: fashion_mnist, shot_groups: {{many_above: 35, few_below: 12}}}}\n\
             representations:\n  ce: {{method: {{ce: {{}}}}, backbone: {{cifar_resnet: 8}}}}\nfeatures: {{views: 2}}\n\
             classifiers:\n  joint: {{joint: {{}}}}\n  tau_norm: {{tau_norm: {{}}}}\n  ncm: {{ncm: {{}}}}\n{methods}"
        );
        std::fs::write(&recipe, text).expect("writable");
        let layout = RunLayout::new(folder.path().join("seed-0"));
        let made = Self { folder, layout, recipe };
        made.write_stages();
        made
    }

    pub fn read_recipe(&self) -> Recipe {
        longtail_recipe::read(&self.recipe, &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn features(&self, name: &str) -> PathBuf {
        self.layout.features("ce").join(format!("{name}.safetensors"))
    }

    pub fn representation(&self, name: &str) -> PathBuf {
        self.layout.representation("ce").join(format!("{name}.safetensors"))
    }

    pub fn classifier(&self, method: &str) -> PathBuf {
        self.layout.classifier("ce", method)
    }

    fn write_stages(&self) {
        let data = toy_data(&COUNTS, DIM);
        let classes = COUNTS.len();
        for folder in [self.layout.representation("ce"), self.layout.features("ce")] {
            std::fs::create_dir_all(folder).expect("writable");
        }
        write(&self.layout.split(), &[u32s("class_counts", &data.class_counts)], &json!({}));
        write(&self.representation("backbone"), &[f32s("conv1.weight", vec![1], &[1.0])], &json!({}));
        let head = HeadWeights::linear(data.head.weight(), data.head.bias().expect("linear")).expect("sizes fit");
        head.save(&self.representation("head"), &json!({})).expect("writable");
        let prototypes = [
            f32s("empirical", vec![classes, DIM], &data.prototypes.empirical),
            f32s("meta", vec![classes, DIM], &data.prototypes.meta),
            u32s("seen", &data.prototypes.seen),
        ];
        write(&self.representation("prototypes"), &prototypes, &json!({}));
        let recipe = self.read_recipe();
        let part = recipe.representation_part("ce").expect("known");
        let outputs = ["backbone", "head", "prototypes"]
            .map(|name| (format!("{name}.safetensors"), hash_file(&self.representation(name)).expect("written")));
        let folder = self.layout.representation("ce");
        finish(&folder, &stage_specs::representation(&self.layout, &ImageMatch::Same, part, "cpu"), &outputs);
        let mut outputs = Vec::new();
        let train = data.train.features();
        let views: Vec<Vec<f32>> =
            (1..3).map(|view| train.iter().map(|value| value + 0.05 * view as f32).collect()).collect();
        let labels = data.train.labels();
        let dumps: [(&str, &[f32], &[u32]); 6] = [
            ("train", train, labels),
            ("train-view-1", &views[0], labels),
            ("train-view-2", &views[1], labels),
            ("meta", &data.meta.features, &data.meta.labels),
            ("val", &data.val.features, &data.val.labels),
            ("test", &data.val.features, &data.val.labels),
        ];
        for (name, features, labels) in dumps {
            let tensors = feature_tensors(features, labels, &data.class_counts, DIM);
            let hash = write(&self.features(name), &tensors, &self.dump_metadata(name));
            outputs.push((format!("{name}.safetensors"), hash));
        }
        let part = recipe.features_part("ce").expect("known");
        let spec = stage_specs::features(&self.layout, &ImageMatch::Same, "ce", part, "cpu");
        finish(&self.layout.features("ce"), &spec, &outputs);
    }

    pub fn dump_metadata(&self, name: &str) -> Value {
        let backbone = hash_file(&self.representation("backbone")).expect("readable");
        json!({"split": name, "backbone": backbone, "feature_dim": DIM})
    }
}

pub fn write(path: &Path, tensors: &[NamedTensor], metadata: &Value) -> FileHash {
    write_tensors(path, tensors, metadata).expect("writable")
}

/// Writes the manifest of a stage whose files are there.
fn finish(folder: &Path, spec: &StageSpec, outputs: &[(String, FileHash)]) {
    let Begin::Run(run) = StageRun::begin(folder, spec, BeginOptions::default()).expect("free") else {
        panic!("nothing is finished yet");
    };
    let outputs: Vec<(&str, FileHash)> = outputs.iter().map(|(name, hash)| (name.as_str(), hash.clone())).collect();
    run.finish(&outputs).expect("finishes");
}
