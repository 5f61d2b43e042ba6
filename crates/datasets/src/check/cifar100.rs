//! Whether images are CIFAR-100's, whatever order they come in.

use rayon::prelude::*;

use crate::image_set::ImageSet;

/// Of each class, the sum (modulo 2^64) over its images of the first eight bytes, the lowest first, of BLAKE3 of (label as one byte, pixels as
/// `(32, 32, 3)`): the training images' 100 sums, then the test images'. Made from the official files.
const SUMS: &str = include_str!("../../data/cifar100_class_sums.txt");

/// A part of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Train,
    Test,
}

/// The sum of each class of `set`.
fn class_sums(set: &ImageSet) -> Vec<u64> {
    let zeros = || vec![0u64; set.num_classes];
    let add = |mut sums: Vec<u64>, index: usize| {
        let label = set.labels[index];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[label as u8]).update(set.image(index));
        let first: [u8; 8] = hasher.finalize().as_bytes()[..8].try_into().expect("eight of 32 bytes");
        sums[label as usize] = sums[label as usize].wrapping_add(u64::from_le_bytes(first));
        sums
    };
    let both = |a: Vec<u64>, b: Vec<u64>| a.iter().zip(&b).map(|(a, b)| a.wrapping_add(*b)).collect();
    (0..set.len()).into_par_iter().fold(zeros, add).reduce(zeros, both)
}

/// Classes, by label, of which not all images are the published ones.
pub fn foreign_classes(set: &ImageSet, part: Part) -> Vec<usize> {
    let published: Vec<u64> = SUMS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| u64::from_str_radix(line, 16).expect("the file is part of the source and holds numbers only"))
        .collect();
    let (train, test) = published.split_at(published.len() / 2);
    let expected = if part == Part::Train { train } else { test };
    class_sums(set).iter().zip(expected).enumerate().filter(|(_, (a, b))| a != b).map(|(class, _)| class).collect()
}

/// The first image of one colour only, which no published one is: what is left where bytes were lost.
pub fn blank_image(set: &ImageSet) -> Option<usize> {
    (0..set.len()).find(|&index| set.image(index).windows(2).all(|two| two[0] == two[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::cifar100::parse;

    /// Two images of a class and one of another.
    fn set(order: [u8; 3], blank: bool) -> ImageSet {
        let record = |number: u8| {
            let pixels =
                (0..3072u32).map(move |at| if blank && number == 2 { 9 } else { (at * 7 + u32::from(number)) as u8 });
            [0, number / 2].into_iter().chain(pixels).collect::<Vec<u8>>()
        };
        parse(&order.map(record).concat()).expect("good records")
    }

    #[test]
    fn sums_are_those_of_the_images_and_not_of_their_order() {
        let sums = class_sums(&set([0, 1, 2], false));
        assert_eq!(sums, class_sums(&set([2, 1, 0], false)));
        assert!(sums[0] != 0 && sums[1] != 0 && sums[2..].iter().all(|sum| *sum == 0));
        let changed = class_sums(&set([0, 1, 2], true));
        assert!(changed[0] == sums[0] && changed[1] != sums[1]);
    }

    #[test]
    fn made_up_images_are_foreign_and_a_blank_one_is_found() {
        assert_eq!(foreign_classes(&set([0, 1, 2], false), Part::Train).len(), 100);
        assert_eq!(blank_image(&set([0, 1, 2], false)), None);
        assert_eq!(blank_image(&set([0, 2, 1], true)), Some(1));
    }
}
