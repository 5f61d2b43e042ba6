//! The transforms of photos against torchvision's, to the byte, and their random crops against its in distribution.
//!
//! `golden/photo/make.py` made the files.

use std::path::PathBuf;

use longtail_datasets::photo::{
    Adjustment, ColorJitter, Crop, Draw, PhotoScratch, PhotoSpec, PhotoTransform, check, probe,
};
use longtail_ops::stream;
use longtail_recipe::{Decode, ExifOrientation};

const SIDE: usize = 32;
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/photo").join(name);
    std::fs::read(path).expect("golden file")
}

fn lines(name: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8(golden(name)).expect("text");
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// The script's formula, `(height, width, 3)`.
fn image(width: usize, height: usize) -> Vec<u8> {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let byte = |y: usize, x: usize, c: usize| ((3 * x * x + 5 * x * y + 2 * y * y + 71 * c * (x + 3)) >> 3) as u8;
    pixels.flat_map(|(y, x)| [byte(y, x, 0), byte(y, x, 1), byte(y, x, 2)]).collect()
}

fn spec(resize_short: usize) -> PhotoSpec {
    let (decode, exif) = (Decode::Exact, ExifOrientation::Ignore);
    PhotoSpec { side: SIDE, resize_short, decode, exif, mean: [0.0; 3], std: [1.0; 3] }
}

fn adjustment(word: &str) -> Adjustment {
    let factor = word[1..].parse().expect("a factor");
    match &word[..1] {
        "b" => Adjustment::Brightness(factor),
        "c" => Adjustment::Contrast(factor),
        _ => Adjustment::Saturation(factor),
    }
}

/// A case's width, short side and chances.
fn case(words: &[String]) -> (usize, usize, usize, Option<Draw>) {
    let number = |place: usize| words[place].parse::<usize>().expect("a number");
    if words[0] == "eval" {
        return (number(1), number(2), number(3), None);
    }
    let crop = Crop { left: number(3), top: number(4), width: number(5), height: number(6) };
    let mut jitter = [Adjustment::Brightness(1.0); 3]; // which changes nothing
    for (place, word) in words[8].split(',').filter(|word| *word != "-").enumerate() {
        jitter[place] = adjustment(word);
    }
    (number(1), number(2), SIDE, Some(Draw { crop, mirror: number(7) == 1, jitter: Some(jitter) }))
}

#[test]
fn every_case_is_torchvisions_to_the_byte() {
    let (cases, pixels) = (lines("cases.txt"), golden("pixels.bin"));
    assert_eq!(pixels.len(), cases.len() * 3 * SIDE * SIDE);
    let (mut scratch, mut out) = (PhotoScratch::default(), vec![0.0; 3 * SIDE * SIDE]);
    for (words, expected) in cases.iter().zip(pixels.chunks_exact(3 * SIDE * SIDE)) {
        let (width, height, short, draw) = case(words);
        let transform = PhotoTransform::eval(&spec(short));
        transform.apply_to_pixels(&image(width, height), width, draw.as_ref(), &mut scratch, &mut out);
        let differences = out.iter().zip(expected).map(|(ours, theirs)| (ours * 255.0 - f32::from(*theirs)).abs());
        let largest = differences.fold(0.0, f32::max);
        assert!(largest < 1e-3, "{}: {largest} levels", words.join(" "));
    }
}

#[test]
fn normalised_values_are_torchs() {
    let cases = lines("cases.txt");
    let last = cases.iter().rfind(|words| words[0] == "train").expect("a case");
    let (width, height, _, draw) = case(last);
    let transform = PhotoTransform::train(&PhotoSpec { mean: MEAN, std: STD, ..spec(SIDE) }, None);
    let mut out = vec![0.0; 3 * SIDE * SIDE];
    let pixels = image(width, height);
    transform.apply_to_pixels(&pixels, width, draw.as_ref(), &mut PhotoScratch::default(), &mut out);
    let theirs = golden("normalised.bin");
    let theirs = theirs.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
    for (ours, theirs) in out.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-6, "{ours} and {theirs}");
    }
}

#[test]
fn crops_are_spread_as_torchvisions() {
    let transform = PhotoTransform::train(&spec(SIDE), None);
    let draws = 20_000;
    for words in lines("crops.txt") {
        let numbers: Vec<f64> = words.iter().map(|word| word.parse().expect("a number")).collect();
        let (width, height) = (numbers[0] as usize, numbers[1] as usize);
        let mut rng = stream(3, "crops", 0, (width * height) as u64);
        let mut measured = [const { Vec::new() }; 4];
        let mut mirrored = 0;
        for _ in 0..draws {
            let Draw { crop, mirror, jitter } = transform.draw(width, height, &mut rng);
            let (w, h) = (crop.width as f64, crop.height as f64);
            let values = [w * h / numbers[0] / numbers[1], (w / h).ln(), crop.left as f64, crop.top as f64];
            measured.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
            mirrored += i32::from(mirror);
            assert_eq!(jitter, None);
        }
        for (values, theirs) in measured.iter().zip(numbers[2..].chunks_exact(2)) {
            let count = f64::from(draws);
            let mean = values.iter().sum::<f64>() / count;
            let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            // Five standard errors of a difference of two means; the spread's is no larger for these bounded quantities.
            let error = 5.0 * theirs[1] * (2.0 / count).sqrt();
            assert!((mean - theirs[0]).abs() < error, "{width}×{height}: mean {mean}, torchvision {}", theirs[0]);
            assert!((spread - theirs[1]).abs() < error, "{width}×{height}: spread {spread}, torchvision {}", theirs[1]);
        }
        assert!((mirrored - draws / 2).abs() < 354, "five standard deviations of heads"); // √20000/2 = 70.7
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decode").join(name);
    std::fs::read(path).expect("golden file")
}

#[test]
fn a_photo_is_decoded_then_transformed() {
    let bytes = encoded("palette4.png");
    let header = probe(&bytes).expect("a header");
    let transform = PhotoTransform::train(&spec(SIDE), Some(ColorJitter::default()));
    let rng = || stream(1, "apply", 0, 5);
    let (mut scratch, mut out) = (PhotoScratch::default(), vec![0.0; 3 * SIDE * SIDE]);
    transform.apply(&bytes, rng, &mut scratch, &mut out).expect("a photo");

    let mut decode = longtail_datasets::photo::decode::DecodeScratch::default();
    let window = longtail_datasets::photo::decode::Window::whole(&header);
    let pixels = decode.decode(&bytes, &header, window, 1).expect("a photo");
    let rgb: Vec<u8> = pixels.rgb.chunks(pixels.stride).flat_map(|row| row[..3 * pixels.width].to_vec()).collect();
    let draw = transform.draw(pixels.width, pixels.height, &mut rng());
    let mut expected = vec![0.0; out.len()];
    transform.apply_to_pixels(&rgb, pixels.width, Some(&draw), &mut scratch, &mut expected);
    assert_eq!(out, expected);
}

#[test]
fn orientation_is_applied_only_where_the_recipe_says_so() {
    for name in ["orientation_3.jpg", "orientation_6.jpg", "orientation_5.png"] {
        let bytes = encoded(name);
        let orientation = probe(&bytes).expect("a header").orientation;
        assert!(orientation != 1, "{name}");
        let apply = |exif: ExifOrientation| {
            let mut out = vec![0.0; 3 * SIDE * SIDE];
            let transform = PhotoTransform::eval(&PhotoSpec { exif, ..spec(SIDE) });
            let mut scratch = PhotoScratch::default();
            transform.apply(&bytes, || unreachable!("scoring draws nothing"), &mut scratch, &mut out).expect("a photo");
            out
        };
        let (stored, upright) = (apply(ExifOrientation::Ignore), apply(ExifOrientation::Apply));
        assert_ne!(stored, upright, "{name}");
        // The middle of the image turned is the middle of the turned image, but for a pixel's centring and the passes' rounding.
        let at = |out: &[f32], y: usize, x: usize| out[3 * (y * SIDE + x)];
        let turned = |y: usize, x: usize| match orientation {
            3 => at(&stored, SIDE - 1 - y, SIDE - 1 - x),
            5 => at(&stored, x, y),
            _ => at(&stored, SIDE - 1 - x, y),
        };
        let mean = (0..SIDE * SIDE)
            .map(|place| (at(&upright, place / SIDE, place % SIDE) - turned(place / SIDE, place % SIDE)).abs())
            .sum::<f32>()
            / (SIDE * SIDE) as f32;
        let unrelated = upright.iter().zip(&stored).map(|(a, b)| (a - b).abs()).sum::<f32>() / (3 * SIDE * SIDE) as f32;
        assert!(mean < 0.25 * unrelated, "{name}: {mean} against {unrelated}");
    }
}

#[test]
fn a_bad_photo_is_refused_by_check_and_by_apply() {
    let whole = encoded("420.jpg");
    let transform = PhotoTransform::eval(&spec(SIDE));
    for bytes in [&whole[..whole.len() / 2], b"GIF89a", b""] {
        let checked = check(bytes).expect_err("not a photo").to_string();
        let mut out = vec![0.0; 3 * SIDE * SIDE];
        let applied = transform.apply(bytes, || stream(0, "x", 0, 0), &mut PhotoScratch::default(), &mut out);
        assert_eq!(applied.expect_err("not a photo").to_string(), checked);
    }
}
