//! One made-up photograph: a figure before a textured ground.
//!
//! What tells classes apart: the figure (five shapes), the ground (four textures) and a hue of each. What varies within a
//! class: size and shape of the image, where the figure stands, how large and how it is turned, phase and direction of the
//! texture, light, saturation, noise, and small spots of foreign colour.

use longtail_ops::{below, uniform};
use rand_chacha::ChaCha8Rng;

/// An RGB image, `(height, width, 3)` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    pub bytes: Vec<u8>,
}

/// Steps of the low-discrepancy sequence in two dimensions (powers of 1/1.3247…): any number of classes gets hues apart.
const HUE_STEPS: [f64; 2] = [0.754_877_666_246_692_7, 0.569_840_290_998_053_2];
/// How far an image's hues stray from its class's, at most.
const HUE_JITTER: f64 = 0.02;

/// What all images of a class share.
struct Look {
    figure: usize,
    ground: usize,
    figure_hue: f64,
    ground_hue: f64,
    /// Of the texture, in short sides of the image.
    period: f64,
}

impl Look {
    fn of(class: usize) -> Self {
        let hue = |step: f64| fract(0.05 + class as f64 * step);
        Self {
            figure: class % 5,
            ground: class / 5 % 4,
            figure_hue: hue(HUE_STEPS[0]),
            ground_hue: hue(HUE_STEPS[1]),
            period: 0.16 + 0.04 * (class / 20 % 4) as f64,
        }
    }
}

/// Draws one image of `class`; both sides lie in 0.8 to 1.4 times `side`.
pub fn draw(class: usize, side: usize, rng: &mut ChaCha8Rng) -> Rgb {
    let look = Look::of(class);
    let mut between = |low: f64, high: f64| low + (high - low) * uniform(rng);
    let width = (side as f64 * between(0.8, 1.4)) as usize;
    let height = (side as f64 * between(0.8, 1.4)) as usize;
    let centre = (between(-0.18, 0.18), between(-0.18, 0.18));
    let radius = between(0.24, 0.4);
    let phase = (between(0.0, 1.0), between(0.0, 1.0));
    let figure_colour = hsv(look.figure_hue + between(-HUE_JITTER, HUE_JITTER), between(0.7, 1.0), between(0.75, 1.0));
    let ground_hue = look.ground_hue + between(-HUE_JITTER, HUE_JITTER);
    let saturation = between(0.4, 0.8);
    let shades = [hsv(ground_hue, saturation, between(0.6, 0.8)), hsv(ground_hue, saturation, between(0.25, 0.4))];
    let (gain, slope, noise) = (between(0.75, 1.15), between(0.0, 0.5), between(2.0, 14.0));
    let spots: Vec<Spot> = (0..1 + below(rng, 3)).map(|_| Spot::draw(rng)).collect();
    let (turn, ground_turn, light) = (direction(rng), direction(rng), direction(rng));

    let short = width.min(height) as f64;
    let colour_at = |x: f64, y: f64| -> [f64; 3] {
        let (u, v) = ((x - width as f64 / 2.0) / short, (y - height as f64 / 2.0) / short);
        if let Some(spot) = spots.iter().find(|spot| spot.covers(u, v)) {
            return spot.colour;
        }
        let (a, b) = rotated((u - centre.0) / radius, (v - centre.1) / radius, turn);
        if is_inside(look.figure, a, b) {
            return figure_colour;
        }
        let (s, t) = rotated(u / look.period, v / look.period, ground_turn);
        shades[usize::from(is_dark(look.ground, s + phase.0, t + phase.1))]
    };
    let mut bytes = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f64, row as f64);
            let lit = 1.0 + slope * ((x / width as f64 - 0.5) * light.0 + (y / height as f64 - 0.5) * light.1);
            let mut sum = [0.0; 3];
            for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                for (total, value) in sum.iter_mut().zip(colour_at(x + dx, y + dy)) {
                    *total += value;
                }
            }
            for total in sum {
                let grain = noise * (2.0 * uniform(rng) - 1.0);
                bytes.push((255.0 * gain * lit * total / 4.0 + grain).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Rgb { width, height, bytes }
}

/// A small disc of any colour, which says nothing about the class.
struct Spot {
    at: (f64, f64),
    radius: f64,
    colour: [f64; 3],
}

impl Spot {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            at: (1.2 * uniform(rng) - 0.6, 1.2 * uniform(rng) - 0.6),
            radius: 0.04 + 0.05 * uniform(rng),
            colour: hsv(uniform(rng), uniform(rng), 0.3 + 0.7 * uniform(rng)),
        }
    }

    fn covers(&self, u: f64, v: f64) -> bool {
        let (du, dv) = (u - self.at.0, v - self.at.1);
        du * du + dv * dv < self.radius * self.radius
    }
}

/// Whether a point lies in a figure of radius 1 around the origin.
fn is_inside(figure: usize, a: f64, b: f64) -> bool {
    let square = a * a + b * b;
    match figure {
        0 => square < 0.8,
        1 => (0.3..1.0).contains(&square),
        2 => a.abs() < 0.75 && b.abs() < 0.75,
        3 => b > -0.6 && a.abs() < 0.65 * (1.0 - b),
        _ => (a.abs() < 0.3 && b.abs() < 1.0) || (b.abs() < 0.3 && a.abs() < 1.0),
    }
}

/// Whether a point of a texture of period 1 has the dark shade.
fn is_dark(ground: usize, s: f64, t: f64) -> bool {
    let (s, t) = (fract(s), fract(t));
    match ground {
        0 => s < 0.5,
        1 => (s < 0.5) != (t < 0.5),
        2 => (s - 0.5) * (s - 0.5) + (t - 0.5) * (t - 0.5) < 0.1,
        _ => s < 0.2 || t < 0.2,
    }
}

/// A direction, uniform over the circle: a point of the disc, normalised. Sine and cosine are not the same everywhere.
fn direction(rng: &mut ChaCha8Rng) -> (f64, f64) {
    loop {
        let (x, y) = (2.0 * uniform(rng) - 1.0, 2.0 * uniform(rng) - 1.0);
        let square = x * x + y * y;
        if (0.01..=1.0).contains(&square) {
            let length = square.sqrt();
            return (x / length, y / length);
        }
    }
}

fn rotated(x: f64, y: f64, (cos, sin): (f64, f64)) -> (f64, f64) {
    (x * cos - y * sin, x * sin + y * cos)
}

fn fract(x: f64) -> f64 {
    x - x.floor()
}

/// Hue in turns, saturation and value in 0..1, to RGB in 0..1.
fn hsv(hue: f64, saturation: f64, value: f64) -> [f64; 3] {
    // Distance on the colour circle from each primary, in sixths of a turn.
    [0.0, 4.0, 2.0].map(|shift: f64| {
        let sixth = 6.0 * fract((6.0 * hue + shift) / 6.0);
        let pure = ((sixth - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        value * (1.0 - saturation + saturation * pure)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_ops::stream;

    #[test]
    fn primaries_stand_where_they_belong() {
        for (hue, expected) in [(0.0, [1.0, 0.0, 0.0]), (1.0 / 3.0, [0.0, 1.0, 0.0]), (2.0 / 3.0, [0.0, 0.0, 1.0])] {
            let found = hsv(hue, 1.0, 1.0);
            assert!(
                found.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-9),
                "{hue}: {found:?}"
            );
        }
        assert_eq!(hsv(0.4, 0.0, 0.5), [0.5; 3]);
    }

    #[test]
    fn every_figure_and_texture_has_an_inside_and_an_outside() {
        let grid = || (0..400).map(|cell| (f64::from(cell % 20) / 10.0 - 0.95, f64::from(cell / 20) / 10.0 - 0.95));
        for figure in 0..5 {
            let inside = grid().filter(|&(a, b)| is_inside(figure, a, b)).count();
            assert!((80..320).contains(&inside), "figure {figure}: {inside} of 400");
        }
        for ground in 0..4 {
            let dark = grid().filter(|&(s, t)| is_dark(ground, s, t)).count();
            assert!((80..320).contains(&dark), "texture {ground}: {dark} of 400");
        }
    }

    #[test]
    fn looks_of_two_hundred_classes_are_all_different() {
        let looks: Vec<Look> = (0..200).map(Look::of).collect();
        for (class, look) in looks.iter().enumerate() {
            for other in &looks[..class] {
                let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
                assert!(
                    !near(look.figure_hue, other.figure_hue) || !near(look.ground_hue, other.ground_hue),
                    "{class}"
                );
            }
        }
    }

    #[test]
    fn images_of_one_class_differ_and_sizes_stay_in_range() {
        let image = |index| draw(7, 96, &mut stream(0, "test", 7, index));
        assert_eq!(image(0), image(0));
        assert_ne!(image(0), image(1));
        for index in 0..20 {
            let Rgb { width, height, bytes } = image(index);
            assert!((76..=134).contains(&width) && (76..=134).contains(&height));
            assert_eq!(bytes.len(), width * height * 3);
        }
    }
}
