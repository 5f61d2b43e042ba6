//! Laws of the samplers, for any labels.

use longtail_datasets::{CLASS_AWARE_RUN, epoch_order};
use longtail_recipe::Sampler;
use proptest::prelude::*;

const ALL: [Sampler; 4] =
    [Sampler::InstanceBalanced, Sampler::ClassBalanced, Sampler::SquareRoot, Sampler::ProgressivelyBalanced];

/// How often each position comes.
fn draws(order: &[u32], len: usize) -> Vec<usize> {
    let mut draws = vec![0; len];
    order.iter().for_each(|&position| draws[position as usize] += 1);
    draws
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_epoch_has_as_many_draws_as_images(labels in proptest::collection::vec(0..7u32, 0..120), epoch in 0..5usize, seed: u64) {
        for sampler in ALL {
            let order = epoch_order(sampler, &labels, 7, epoch, 5, seed, "test");
            prop_assert_eq!(order.len(), labels.len());
            prop_assert!(order.iter().all(|&position| (position as usize) < labels.len()));
            prop_assert_eq!(&order, &epoch_order(sampler, &labels, 7, epoch, 5, seed, "test"));
        }
    }

    #[test]
    fn instance_balanced_draws_each_image_once(labels in proptest::collection::vec(0..7u32, 0..120), seed: u64) {
        let order = epoch_order(Sampler::InstanceBalanced, &labels, 7, 0, 1, seed, "test");
        prop_assert!(draws(&order, labels.len()).into_iter().all(|count| count == 1));
    }

    /// Each image of a class is drawn equally often, give or take one: no image waits for a second round of another.
    #[test]
    fn images_of_a_class_take_turns(labels in proptest::collection::vec(0..4u32, 1..120), seed: u64) {
        for sampler in ALL {
            let counts = draws(&epoch_order(sampler, &labels, 4, 1, 3, seed, "test"), labels.len());
            for class in 0..4 {
                let of_class: Vec<usize> =
                    counts.iter().zip(&labels).filter(|&(_, &label)| label == class).map(|(&count, _)| count).collect();
                if let (Some(least), Some(most)) = (of_class.iter().min(), of_class.iter().max()) {
                    prop_assert!(most - least <= 1, "{:?}: {:?}", sampler, of_class);
                }
            }
        }
    }

    #[test]
    fn class_balanced_blocks_hold_one_class_and_classes_take_turns(labels in proptest::collection::vec(0..5u32, 1..200), seed: u64) {
        let order = epoch_order(Sampler::ClassBalanced, &labels, 5, 0, 1, seed, "test");
        let mut blocks = [0usize; 5];
        for block in order.chunks(CLASS_AWARE_RUN) {
            let class = labels[block[0] as usize];
            prop_assert!(block.iter().all(|&position| labels[position as usize] == class));
            blocks[class as usize] += 1;
        }
        let present = blocks.iter().enumerate().filter(|&(class, _)| labels.contains(&(class as u32)));
        let counts: Vec<usize> = present.map(|(_, &count)| count).collect();
        let (least, most) = (counts.iter().min().expect("a class"), counts.iter().max().expect("a class"));
        prop_assert!(most - least <= 1, "{:?}", counts);
    }

    #[test]
    fn seed_epoch_and_purpose_all_matter(seed: u64) {
        let labels: Vec<u32> = (0..60).map(|i| i % 3).collect();
        for sampler in ALL {
            let order = |epoch, seed, purpose| epoch_order(sampler, &labels, 3, epoch, 5, seed, purpose);
            let first = order(0, seed, "a");
            prop_assert_ne!(&first, &order(1, seed, "a"));
            prop_assert_ne!(&first, &order(0, seed.wrapping_add(1), "a"));
            prop_assert_ne!(&first, &order(0, seed, "b"));
        }
    }
}
