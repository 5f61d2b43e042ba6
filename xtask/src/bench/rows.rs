//! The rows of the table: what is timed, and against whom.

use crate::cli::BenchGroup;

/// Who is compared with us.
#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    /// candle's own operators, with its own layout.
    Candle,
    /// PyTorch in both layouts; the faster one stands in the table.
    Torch,
    /// The same after `torch.compile`, channels-last.
    TorchCompiled,
    /// Another case of ours.
    Ours { label: &'static str, case: String },
}

/// At which of the thread counts asked for a row is timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threads {
    Each,
    /// Only the largest: the row is slow.
    Most,
}

/// One row: a case, without the library, and its peers.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub group: BenchGroup,
    pub name: String,
    pub case: String,
    pub peers: Vec<Peer>,
    pub threads: Threads,
    /// Workers of its own, whose peak memory makes a second row.
    pub has_memory: bool,
}

/// All rows, group by group.
pub fn all() -> Vec<Row> {
    let mut rows = convolutions();
    rows.extend(norms());
    rows.extend(networks());
    rows.extend(generation());
    rows.extend(photographs());
    rows
}

/// Rows on a GPU: whole steps, as kernels by themselves say little there. Both sides wait for the device in every repetition.
pub fn on_gpu() -> Vec<Row> {
    let small = |batch: usize| format!("net=resnet32 size=32 classes=100 batch={batch} features=64");
    let large = |net: &str, batch: usize| format!("net={net} size=224 classes=1000 batch={batch} features=2048");
    let mut rows = Vec::new();
    for precision in ["f32", "tf32", "bf16"] {
        let mut row = |group, name: &str, case: String| {
            rows.push(Row {
                group,
                name: format!("{name}, {precision}"),
                case: format!("{case} device=cuda precision={precision}"),
                peers: vec![Peer::Torch, Peer::TorchCompiled],
                threads: Threads::Most,
                has_memory: false,
            });
        };
        row(BenchGroup::Step, "resnet32 CE step, batch 128", format!("step {}", small(128)));
        row(BenchGroup::Mpcl, "resnet32 MPCL step, batch 128", format!("mpcl {}", small(128)));
        row(BenchGroup::Step, "resnet32 features, batch 512", format!("infer {}", small(512)));
        for net in ["resnet50", "resnext50_32x4d"] {
            row(BenchGroup::Step, &format!("{net} CE step, batch 64"), format!("step {}", large(net, 64)));
            row(BenchGroup::Step, &format!("{net} features, batch 128"), format!("infer {}", large(net, 128)));
        }
    }
    // torch's way is a factor a row; its precision says little there.
    rows.extend(generation().into_iter().map(|row| Row {
        name: format!("{}, f32", row.name),
        case: format!("{} device=cuda precision=f32", row.case),
        threads: Threads::Most,
        ..row
    }));
    rows
}

/// Batch, input and output channels, input size, kernel, stride, groups.
const CONVOLUTIONS: [[usize; 7]; 15] = [
    // ResNet-32
    [128, 3, 16, 32, 3, 1, 1],
    [128, 16, 16, 32, 3, 1, 1],
    [128, 16, 32, 32, 3, 2, 1],
    [128, 32, 32, 16, 3, 1, 1],
    [128, 64, 64, 8, 3, 1, 1],
    // ResNet-50
    [8, 3, 64, 224, 7, 2, 1],
    [8, 64, 64, 56, 3, 1, 1],
    [8, 64, 256, 56, 1, 1, 1],
    [8, 256, 64, 56, 1, 1, 1],
    [8, 256, 512, 56, 1, 2, 1],
    [8, 128, 128, 28, 3, 1, 1],
    [8, 256, 256, 14, 3, 1, 1],
    [8, 512, 512, 7, 3, 1, 1],
    // ResNeXt-50 32x4d
    [8, 128, 128, 56, 3, 1, 32],
    [8, 512, 512, 14, 3, 1, 32],
];

fn convolutions() -> Vec<Row> {
    let mut rows = Vec::new();
    for [batch, inputs, outputs, size, kernel, stride, groups] in CONVOLUTIONS {
        let of_groups = if groups == 1 { String::new() } else { format!(" groups {groups}") };
        let shape = format!("{kernel}x{kernel} {inputs}-{outputs} @{size} /{stride}{of_groups}, batch {batch}");
        let values = format!(
            "batch={batch} in={inputs} out={outputs} size={size} kernel={kernel} stride={stride} groups={groups}"
        );
        for (kind, words) in
            [("conv-forward", "forward"), ("conv-input", "input gradient"), ("conv-weight", "weight gradient")]
        {
            // No network asks for the gradient of its images.
            if inputs > 3 || kind != "conv-input" {
                rows.push(operator(format!("conv {words} {shape}"), format!("{kind} {values}")));
            }
        }
    }
    rows
}

fn norms() -> Vec<Row> {
    let mut rows = Vec::new();
    for [batch, channels, size] in [[128, 16, 32], [128, 64, 8], [8, 256, 56]] {
        for (kind, words) in [("norm-forward", "forward"), ("norm-backward", "backward")] {
            let name = format!("batch norm {words} {channels} @{size}, batch {batch}");
            rows.push(operator(name, format!("{kind} batch={batch} channels={channels} size={size}")));
        }
    }
    rows
}

fn operator(name: String, case: String) -> Row {
    let peers = vec![Peer::Torch, Peer::Candle];
    Row { group: BenchGroup::Ops, name, case, peers, threads: Threads::Each, has_memory: false }
}

fn networks() -> Vec<Row> {
    let small = "net=resnet32 size=32 classes=100 batch=128 features=64";
    let large = |net| format!("net={net} size=224 classes=1000 batch=8 features=2048");
    let row = |group, name: &str, case: String, peers, threads, has_memory| {
        let name = name.to_owned();
        Row { group, name, case, peers, threads, has_memory }
    };
    let (step, mpcl) = (BenchGroup::Step, BenchGroup::Mpcl);
    let ce = Peer::Ours { label: "our CE step", case: format!("step {small}") };
    let torch = || vec![Peer::Torch];
    vec![
        row(
            step,
            "resnet32 CE step, batch 128",
            format!("step {small}"),
            vec![Peer::Torch, Peer::Candle],
            Threads::Each,
            true,
        ),
        row(step, "resnet32 features, batch 128", format!("infer {small}"), torch(), Threads::Each, false),
        row(step, "resnet50 CE step, batch 8", format!("step {}", large("resnet50")), torch(), Threads::Most, true),
        row(step, "resnet50 features, batch 8", format!("infer {}", large("resnet50")), torch(), Threads::Most, false),
        row(
            step,
            "resnext50_32x4d CE step, batch 8",
            format!("step {}", large("resnext50_32x4d")),
            torch(),
            Threads::Most,
            true,
        ),
        row(
            step,
            "resnext50_32x4d features, batch 8",
            format!("infer {}", large("resnext50_32x4d")),
            torch(),
            Threads::Most,
            false,
        ),
        row(mpcl, "resnet32 MPCL step, batch 128", format!("mpcl {small}"), vec![ce, Peer::Torch], Threads::Each, true),
    ]
}

/// Both sides time the generation alone; ours shuffles the rows in among the real ones as well.
fn generation() -> Vec<Row> {
    let row = |name: &str, values: &str| Row {
        group: BenchGroup::Generate,
        name: name.to_owned(),
        case: format!("generate {values}"),
        peers: vec![Peer::Torch],
        threads: Threads::Each,
        has_memory: false,
    };
    vec![
        row("MPFA, 1000 rows of 64", "classes=100 largest=500 smallest=5 dim=64 sources=100000"),
        row("MPFA, 1000 rows of 2048", "classes=20 largest=1280 smallest=5 dim=2048 sources=12"),
        // As many classes and nearly as many rows as ImageNet-LT (115,562); two blocks of an epoch on our side.
        row(
            "MPFA, 1000 rows, ImageNet-LT's size",
            "classes=1000 largest=1280 smallest=5 bend=62 dim=2048 batches=512 sources=12",
        ),
    ]
}

/// Of one photograph, from its file's bytes to the batch buffer: `--images DIR` says which. torchvision has one way of decoding,
/// so our faster one stands beside our exact one.
fn photographs() -> Vec<Row> {
    let row = |name: &str, transform: &str, decode: &str, peer: Peer| Row {
        group: BenchGroup::Loader,
        name: name.to_owned(),
        case: format!("photo transform={transform} decode={decode} side=224"),
        peers: vec![peer],
        threads: Threads::Each,
        has_memory: false,
    };
    let exact = |transform: &str| Peer::Ours {
        label: "our exact",
        case: format!("photo transform={transform} decode=exact side=224"),
    };
    vec![
        row("one photograph, training transform, exact", "train", "exact", Peer::Torch),
        row("one photograph, training transform, scaled", "train", "scaled", exact("train")),
        row("one photograph, evaluation transform, exact", "eval", "exact", Peer::Torch),
        row("one photograph, evaluation transform, scaled", "eval", "scaled", exact("eval")),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_group_has_rows_and_every_row_its_own_name() {
        let rows = all();
        for group in BenchGroup::value_variants() {
            assert!(rows.iter().any(|row| row.group == *group), "{group:?}");
        }
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len());
        assert!(rows.iter().all(|row| row.case.split(' ').skip(1).all(|word| word.contains('='))));
    }

    #[test]
    fn no_gradient_for_images() {
        assert!(!all().iter().any(|row| row.case.starts_with("conv-input") && row.case.contains(" in=3 ")));
    }
}
