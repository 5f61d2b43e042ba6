//! Laws of the random streams.

mod common;

use common::on_each_path;
use longtail_ops::{below, philox_normals, shuffle, stream, stream_words, uniform};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn below_stays_below(seed: u64, n in 1u64..) {
        let mut rng = stream(seed, "below", 0, 0);
        for _ in 0..20 {
            prop_assert!(below(&mut rng, n) < n);
        }
    }

    #[test]
    fn shuffle_keeps_every_item(seed: u64, len in 0usize..200) {
        let mut items: Vec<usize> = (0..len).collect();
        shuffle(&mut stream(seed, "shuffle", 0, 0), &mut items);
        let mut again: Vec<usize> = (0..len).collect();
        shuffle(&mut stream(seed, "shuffle", 0, 0), &mut again);
        prop_assert_eq!(&items, &again);
        items.sort_unstable();
        prop_assert_eq!(items, (0..len).collect::<Vec<_>>());
    }

    #[test]
    fn uniform_stays_in_its_range(seed: u64) {
        let mut rng = stream(seed, "uniform", 1, 2);
        for _ in 0..50 {
            prop_assert!((0.0..1.0).contains(&uniform(&mut rng)));
        }
    }

    /// Any way of cutting a sequence into calls gives the same numbers.
    #[test]
    fn philox_normals_do_not_depend_on_the_calls(seed: u64, offset in 0u64..1 << 40, cut in 0usize..50) {
        let key = stream_words(seed, "noise");
        let mut whole = vec![0f32; 50];
        philox_normals(key, 3, offset, &mut whole);
        let mut parts = vec![0f32; 50];
        let (head, tail) = parts.split_at_mut(cut);
        philox_normals(key, 3, offset, head);
        philox_normals(key, 3, offset + cut as u64, tail);
        prop_assert_eq!(whole, parts);
    }
}

/// Each of the six orders of three items comes up equally often, within five standard deviations.
#[test]
fn shuffle_is_fair() {
    let mut counts = [0u32; 6];
    let mut rng = stream(0, "fair", 0, 0);
    for _ in 0..6000 {
        let mut items = [0, 1, 2];
        shuffle(&mut rng, &mut items);
        counts[items[0] * 2 + usize::from(items[1] > items[2])] += 1;
    }
    assert!(counts.iter().all(|&n| n.abs_diff(1000) < 145), "{counts:?}");
}

#[test]
fn below_is_fair() {
    let mut counts = [0u32; 7];
    let mut rng = stream(0, "fair", 1, 0);
    for _ in 0..7000 {
        counts[below(&mut rng, 7) as usize] += 1;
    }
    assert!(counts.iter().all(|&n| n.abs_diff(1000) < 147), "{counts:?}");
}

/// Nothing is fused, so the vector path changes no bit: an artifact's noise is the same everywhere.
#[test]
fn philox_normals_have_the_same_bits_on_every_path() {
    let mut results = Vec::new();
    on_each_path(|_| {
        let mut out = vec![0f32; 1003];
        philox_normals(stream_words(1, "noise"), 2, 3, &mut out);
        results.push(out.iter().map(|z| z.to_bits()).collect::<Vec<_>>());
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}
