//! The transforms of photos against torchvision's, to the byte, and their random crops against its in distribution.
//!
//! `golden/photo/make.py` made the files.

use std::path::PathBuf;

use longtail_images::decode::{DecodeScratch, Window, check, probe};
use longtail_images::photo::{Adjustment, ColorJitter, Crop, Draw, PhotoScratch, PhotoSpec, PhotoTransform};
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
    let transform = PhotoTransform::train(&spec(SIDE), Some(ColorJitter::default()));
    let rng = || stream(1, "apply", 0, 5);
    let (mut scratch, mut out) = (PhotoScratch::default(), vec![0.0; 3 * SIDE * SIDE]);
    transform.apply(&bytes, rng, &mut scratch, &mut out).expect("a photo");

    let (rgb, width, height) = stored_pixels(&bytes);
    let draw = transform.draw(width, height, &mut rng());
    let mut expected = vec![0.0; out.len()];
    transform.apply_to_pixels(&rgb, width, Some(&draw), &mut scratch, &mut expected);
    assert_eq!(out, expected);
}

/// The image under EXIF orientations 1 to 8: its file, its upright pixels and what scoring makes of those.
fn orientations() -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    let bytes = golden("orientations.bin");
    let begins: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(SIGNATURE)).collect();
    let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
    let (upright, scored) = (3 * 19 * 13, 3 * 8 * 8);
    let parts = begins.iter().zip(ends).map(|(&begin, end)| {
        let (file, rest) = bytes[begin..end].split_at(end - begin - upright - scored);
        (file.to_vec(), rest[..upright].to_vec(), rest[upright..].to_vec())
    });
    parts.collect()
}

#[test]
fn every_orientation_is_pillows_to_the_bit() {
    let small = |exif| PhotoSpec { side: 8, resize_short: 9, exif, ..spec(SIDE) };
    let mut scratch = PhotoScratch::default();
    let files = orientations();
    assert_eq!(files.len(), 8);
    for (number, (file, upright, scored)) in files.iter().enumerate() {
        let orientation = number + 1;
        assert_eq!(probe(file).expect("a header").orientation as usize, orientation);
        let mut score = |exif| {
            let mut out = vec![0.0; 3 * 8 * 8];
            let transform = PhotoTransform::eval(&small(exif));
            transform.apply(file, || unreachable!("scoring draws nothing"), &mut scratch, &mut out).expect("a photo");
            out
        };
        let bytes = |bytes: &[u8]| bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect::<Vec<_>>();
        assert_eq!(score(ExifOrientation::Apply), bytes(scored), "orientation {orientation}");
        assert_eq!(score(ExifOrientation::Ignore), bytes(&files[0].2), "orientation {orientation}, ignored");

        // Training: the chances are of the upright image, and fall on its pixels.
        let jitter = Some(ColorJitter::default());
        let transform = PhotoTransform::train(&small(ExifOrientation::Apply), jitter);
        let width = if orientation < 5 { 19 } else { 13 };
        for view in 0..20 {
            let rng = || stream(7, "upright", 0, view);
            let draw = transform.draw(width, upright.len() / 3 / width, &mut rng());
            let (mut out, mut expected) = (vec![0.0; 3 * 8 * 8], vec![0.0; 3 * 8 * 8]);
            transform.apply(file, rng, &mut scratch, &mut out).expect("a photo");
            transform.apply_to_pixels(upright, width, Some(&draw), &mut scratch, &mut expected);
            assert_eq!(out, expected, "orientation {orientation}, {draw:?}");
        }
    }
}

/// All pixels as they are stored, without gaps.
fn stored_pixels(bytes: &[u8]) -> (Vec<u8>, usize, usize) {
    let header = probe(bytes).expect("a header");
    let (mut decode, window) = (DecodeScratch::default(), Window::whole(&header));
    let pixels = decode.decode(bytes, &header, window, 1).expect("a photo");
    let rgb = pixels.rgb.chunks(pixels.stride).flat_map(|row| row[..3 * pixels.width].to_vec()).collect();
    (rgb, pixels.width, pixels.height)
}

#[test]
fn a_jpegs_orientation_is_applied_only_where_the_recipe_says_so() {
    for name in ["orientation_3.jpg", "orientation_6.jpg"] {
        let bytes = encoded(name);
        let (stored, width, height) = stored_pixels(&bytes);
        // Half a turn; a quarter to the right.
        let half = name == "orientation_3.jpg";
        let wide = if half { width } else { height };
        let turned = |y: usize, x: usize| if half { (height - 1 - y, width - 1 - x) } else { (height - 1 - x, y) };
        let at = |(y, x): (usize, usize)| &stored[3 * (y * width + x)..][..3];
        let upright: Vec<u8> =
            (0..width * height).flat_map(|place| at(turned(place / wide, place % wide)).to_vec()).collect();
        let (mut scratch, mut out, mut expected) =
            (PhotoScratch::default(), vec![0.0; 3 * SIDE * SIDE], vec![0.0; 3 * SIDE * SIDE]);
        for (exif, pixels, wide) in
            [(ExifOrientation::Ignore, &stored, width), (ExifOrientation::Apply, &upright, wide)]
        {
            let transform = PhotoTransform::eval(&PhotoSpec { exif, ..spec(SIDE) });
            transform.apply(&bytes, || unreachable!("scoring draws nothing"), &mut scratch, &mut out).expect("a photo");
            transform.apply_to_pixels(pixels, wide, None, &mut scratch, &mut expected);
            assert_eq!(out, expected, "{name}, {exif:?}");
        }
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
