//! Where a recipe that says nothing of its data stands. Sources are beside the fields in [`crate::resolved`].

use crate::resolved::*;

/// Per-channel statistics.
pub(crate) fn normalize(dataset: Dataset) -> Normalize {
    match dataset {
        // CIFAR-10's numbers, as LDAM and its descendants use for CIFAR-100 (protocol.md §1.3).
        Dataset::Cifar100 => Normalize { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] },
        // Over the 60000 training images.
        Dataset::FashionMnist => Normalize { mean: vec![0.2860], std: vec![0.3530] },
        // CB's `data/dataloader.py`.
        Dataset::Inaturalist2018 => Normalize { mean: vec![0.466, 0.471, 0.380], std: vec![0.195, 0.194, 0.192] },
        // ImageNet's, as in torchvision and CB.
        Dataset::ImagenetLt | Dataset::ImageFolder => {
            Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
        }
    }
}
