//! Samplers: which image comes when in an epoch, as a pure function of the seed and the epoch.

use longtail_ops::{below, shuffle, stream, uniform};
use longtail_recipe::Sampler;
use rand_chacha::ChaCha8Rng;

/// Images drawn in a row from one class by [`Sampler::ClassBalanced`].
///
/// # Source
/// `num_samples_cls: 4` in all configurations of classifier-balancing (methods.md §3.7).
pub const CLASS_AWARE_RUN: usize = 4;

/// How an image of a drawn class is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// The next one of the class's own shuffled list, which is shuffled again when it is through: images (stage 1).
    Turns,
    /// Each with equal chance: feature rows (stage 3).
    Chance,
}

/// The first `draws` of an order: positions into `labels`.
///
/// - `InstanceBalanced`: every position once, shuffled; no more draws than labels.
/// - `ClassBalanced`: class-aware sampling. A shuffled list of the classes is gone through again and again; each visit takes
///   [`CLASS_AWARE_RUN`] images from the class's own shuffled list; either list is shuffled again when it wraps.
/// - `SquareRoot`: each draw picks a class with probability ∝ √N_k, then an image of it by `within`.
/// - `ProgressivelyBalanced`: as `SquareRoot`, with class probabilities `(1−λ)·N_k/N + λ/K`, λ = `progress`, 0 to 1.
///
/// K counts the classes that occur. The result is a function of the arguments and of the stream alone.
///
/// # Source
/// `ClassAwareSampler.py` and `ClassPrioritySampler.py` of classifier-balancing (Kang et al. 2020); methods.md §3.7. Difference: all lists
/// start afresh with each call (there, they go on across epochs), so that an epoch can be resumed.
pub fn draw_order(
    sampler: Sampler,
    labels: &[u32],
    num_classes: usize,
    draws: usize,
    progress: f64,
    within: Within,
    rng: &mut ChaCha8Rng,
) -> Vec<u32> {
    let picked = |weight: &dyn Fn(usize, usize, usize) -> f64, rng: &mut ChaCha8Rng| {
        weighted(class_lists(labels, num_classes), labels.len(), draws, within, rng, weight)
    };
    match sampler {
        Sampler::ClassBalanced => class_aware(class_lists(labels, num_classes), draws, rng),
        Sampler::SquareRoot => picked(&|count, _, _| (count as f64).sqrt(), rng),
        Sampler::ProgressivelyBalanced => picked(
            &|count, images, classes| (1.0 - progress) * count as f64 / images as f64 + progress / classes as f64,
            rng,
        ),
        Sampler::InstanceBalanced => {
            let mut order: Vec<u32> = (0..labels.len() as u32).collect();
            shuffle(rng, &mut order);
            order.truncate(draws);
            order
        }
    }
}

/// The order of one epoch of images: as many draws as there are labels, a class's images in turns; λ is [`progress`].
///
/// `purpose` names the random stream (`{purpose}/order`), so that two loaders of one run do not draw alike.
///
/// # Source
/// That of [`draw_order`]. Differences: an epoch has N draws (there, the trainer stops after ⌊N/batch⌋ steps); Kang's λ is epoch/total, ours
/// reaches 1 in the last epoch.
pub fn epoch_order(
    sampler: Sampler,
    labels: &[u32],
    num_classes: usize,
    epoch: usize,
    total_epochs: usize,
    seed: u64,
    purpose: &str,
) -> Vec<u32> {
    let mut rng = stream(seed, &format!("{purpose}/order"), epoch as u64, 0);
    let lambda = progress(epoch, total_epochs);
    draw_order(sampler, labels, num_classes, labels.len(), lambda, Within::Turns, &mut rng)
}

/// How many mini-batches an epoch of `len` images has; the last one is short, or left out with `drop_last`.
///
/// # Panics
/// If `batch_size` is 0.
pub fn num_batches(len: usize, batch_size: usize, drop_last: bool) -> usize {
    if drop_last { len / batch_size } else { len.div_ceil(batch_size) }
}

/// For each draw of `order`, how often the same position came before in it. Repeated draws of one image thereby get
/// different augmentations, while the first is keyed by the image alone.
pub(crate) fn occurrences(order: &[u32], len: usize) -> Vec<u32> {
    let mut seen = vec![0u32; len];
    order
        .iter()
        .map(|&position| {
            let seen = &mut seen[position as usize];
            *seen += 1;
            *seen - 1
        })
        .collect()
}

/// How far a training of `total_epochs` is in `epoch`: 0 in the first epoch, 1 in the last, and in an only one.
pub fn progress(epoch: usize, total_epochs: usize) -> f64 {
    if total_epochs <= 1 { 1.0 } else { (epoch as f64 / (total_epochs - 1) as f64).min(1.0) }
}

/// A list that is gone through again and again, in a new order each time.
struct Cycle {
    items: Vec<u32>,
    next: usize,
}

impl Cycle {
    fn new(items: Vec<u32>) -> Self {
        let next = items.len(); // so that the first draw shuffles
        Self { items, next }
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) -> u32 {
        if self.next == self.items.len() {
            shuffle(rng, &mut self.items);
            self.next = 0;
        }
        self.next += 1;
        self.items[self.next - 1]
    }
}

/// The positions of each class that occurs, in label order.
fn class_lists(labels: &[u32], num_classes: usize) -> Vec<Vec<u32>> {
    let mut classes = vec![Vec::new(); num_classes];
    for (position, &label) in labels.iter().enumerate() {
        classes[label as usize].push(position as u32);
    }
    classes.retain(|items| !items.is_empty());
    classes
}

fn class_aware(classes: Vec<Vec<u32>>, draws: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut classes: Vec<Cycle> = classes.into_iter().map(Cycle::new).collect();
    let mut list = Cycle::new((0..classes.len() as u32).collect());
    let mut order = Vec::with_capacity(draws);
    while order.len() < draws {
        let class = list.draw(rng) as usize;
        for _ in 0..CLASS_AWARE_RUN.min(draws - order.len()) {
            order.push(classes[class].draw(rng));
        }
    }
    order
}

/// Draws a class with probability ∝ `weight(N_k, N, K)`, then an image of it.
fn weighted(
    classes: Vec<Vec<u32>>,
    images: usize,
    draws: usize,
    within: Within,
    rng: &mut ChaCha8Rng,
    weight: &dyn Fn(usize, usize, usize) -> f64,
) -> Vec<u32> {
    let mut total = 0.0;
    let cumulative: Vec<f64> = classes
        .iter()
        .map(|class| {
            total += weight(class.len(), images, classes.len());
            total
        })
        .collect();
    let mut classes: Vec<Cycle> = classes.into_iter().map(Cycle::new).collect();
    (0..draws)
        .map(|_| {
            let target = uniform(rng) * total;
            // Rounding may put the target on the total itself, beyond the last class.
            let class = cumulative.partition_point(|&end| end <= target).min(classes.len() - 1);
            match within {
                Within::Turns => classes[class].draw(rng),
                Within::Chance => classes[class].items[below(rng, classes[class].items.len() as u64) as usize],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [u32; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 5];

    fn order(sampler: Sampler, epoch: usize) -> Vec<u32> {
        epoch_order(sampler, &LABELS, 6, epoch, 3, 7, "test")
    }

    #[test]
    fn instance_balanced_is_a_permutation() {
        let mut order = order(Sampler::InstanceBalanced, 0);
        order.sort_unstable();
        assert_eq!(order, (0..12).collect::<Vec<u32>>());
    }

    #[test]
    fn class_balanced_takes_four_in_a_row_from_each_class() {
        let order = order(Sampler::ClassBalanced, 0);
        let mut classes: Vec<u32> = order
            .chunks(CLASS_AWARE_RUN)
            .map(|run| {
                let class = LABELS[run[0] as usize];
                assert!(run.iter().all(|&position| LABELS[position as usize] == class), "{order:?}");
                class
            })
            .collect();
        classes.sort_unstable();
        assert_eq!(classes, [0, 2, 5]);
    }

    #[test]
    fn progressive_starts_by_instances_and_ends_by_classes() {
        let labels: Vec<u32> = (0..11_000).map(|i| u32::from(i >= 10_000)).collect();
        let tail = |sampler, epoch| {
            let order = epoch_order(sampler, &labels, 2, epoch, 5, 1, "test");
            order.iter().filter(|&&position| position >= 10_000).count() as f64 / 11_000.0
        };
        assert!((tail(Sampler::ProgressivelyBalanced, 0) - 1.0 / 11.0).abs() < 0.01);
        assert!((tail(Sampler::ProgressivelyBalanced, 2) - (0.5 / 11.0 + 0.25)).abs() < 0.02);
        assert!((tail(Sampler::ProgressivelyBalanced, 4) - 0.5).abs() < 0.02);
        let root = 10f64.sqrt();
        assert!((tail(Sampler::SquareRoot, 0) - 1.0 / (1.0 + root)).abs() < 0.02);
    }

    #[test]
    fn batches_cover_the_epoch() {
        assert_eq!((num_batches(10, 4, false), num_batches(10, 4, true), num_batches(0, 4, false)), (3, 2, 0));
    }

    #[test]
    fn repeats_are_counted() {
        assert_eq!(occurrences(&[2, 0, 2, 2, 0], 3), [0, 0, 1, 2, 1]);
    }

    #[test]
    fn nothing_to_sample_gives_an_empty_epoch() {
        for sampler in [Sampler::InstanceBalanced, Sampler::ClassBalanced, Sampler::SquareRoot] {
            assert!(epoch_order(sampler, &[], 3, 0, 1, 0, "test").is_empty());
        }
    }
}
