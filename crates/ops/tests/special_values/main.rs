//! NaN and infinity reach every number that is made of them, and no other: convolutions, batch norm and pools on every vector
//! path, f32 and f64, on slices that begin one element into their buffer.
//!
//! What a special value must reach is what a plain f64 loop says. A convolution may spoil more, since a Winograd kernel works
//! out 2×2 outputs at once from sums over the whole patch: neighbours (of any alignment, so at most one pixel away) in the
//! same image and channel; for the weight's gradient, the other taps of the same pair of channels. And groups that share a block
//! of channels are worked out as one with zeros between them. Never fewer, and everything else keeps its bits.

#[path = "../common/mod.rs"]
mod common;
mod convolution;
mod norm;
mod pool;

use longtail_ops::Real;

const SPECIAL: [f64; 2] = [f64::NAN, f64::INFINITY];

/// Numbers whose first lies one element into the buffer, and whose last ends it.
struct Unaligned<T>(Vec<T>);

impl<T: Real> Unaligned<T> {
    fn new(values: &[f64]) -> Self {
        Self(std::iter::once(T::ZERO).chain(values.iter().map(|&v| T::from_f64(v))).collect())
    }

    fn filled(len: usize) -> Self {
        Self::new(&vec![7.0; len])
    }
}

impl<T> std::ops::Deref for Unaligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0[1..]
    }
}

impl<T> std::ops::DerefMut for Unaligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0[1..]
    }
}

fn spoiled(values: &[f64]) -> Vec<bool> {
    values.iter().map(|v| !v.is_finite()).collect()
}

/// `found` is not finite where it `must` be, and the same as `clean` where it may not differ.
fn check<T: Real>(what: &str, found: &[T], clean: &[T], must: &[bool], may: &[bool]) {
    assert!(found.len() == clean.len() && found.len() == must.len() && found.len() == may.len(), "{what}: lengths");
    for (at, (&found, &clean)) in found.iter().zip(clean).enumerate() {
        assert!(clean.is_finite(), "{what}, {at}: {clean} without a special value");
        assert!(!must[at] || !found.is_finite(), "{what}, {at}: {found} hides the special value");
        assert!(may[at] || found == clean, "{what}, {at}: {found}, without the special value {clean}");
    }
}

/// Places in the last image: corners, edges, centre, in several channels.
fn places(batch: usize, height: usize, width: usize, channels: usize) -> Vec<usize> {
    let at = |y: usize, x: usize, c: usize| (((batch - 1) * height + y) * width + x) * channels + c;
    vec![
        at(0, 0, 0),
        at(height - 1, width - 1, channels - 1),
        at(0, width / 2, channels / 2),
        at(height / 2, width - 1, 0),
        at(height / 2, width / 2, channels - 1),
    ]
}

/// Every special value in every place: `(name, values with it)`.
fn with_special(values: &[f64], places: &[usize]) -> Vec<(String, Vec<f64>)> {
    let mut all = Vec::new();
    for &place in places {
        for special in SPECIAL {
            let mut changed = values.to_vec();
            changed[place] = special;
            all.push((format!("{special} at {place}"), changed));
        }
    }
    all
}
