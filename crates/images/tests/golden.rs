//! Against the numbers of Pillow and torchvision; each folder of `golden/` holds the script that made them.

use std::path::{Path, PathBuf};

use longtail_images::ImageShape;
use longtail_images::transform::pillow::RgbImage;
use longtail_images::transform::{CropFlip, CutoutBox, Operation, PixelTable, SUB_POLICIES, SubPolicy};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).expect("a golden file")
}

fn lines(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(golden(name)).expect("a golden file");
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

fn floats(name: &str) -> Vec<f32> {
    bytes(name).chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn operation(name: &str) -> Operation {
    match name {
        "shear_x" => Operation::ShearX,
        "shear_y" => Operation::ShearY,
        "translate_x" => Operation::TranslateX,
        "translate_y" => Operation::TranslateY,
        "rotate" => Operation::Rotate,
        "color" => Operation::Color,
        "posterize" => Operation::Posterize,
        "solarize" => Operation::Solarize,
        "contrast" => Operation::Contrast,
        "sharpness" => Operation::Sharpness,
        "brightness" => Operation::Brightness,
        "auto_contrast" => Operation::AutoContrast,
        "equalize" => Operation::Equalize,
        "invert" => Operation::Invert,
        other => panic!("no operation {other}"),
    }
}

/// Where two images first differ, in words.
fn first_difference(found: &[u8], expected: &[u8], width: usize) -> Option<String> {
    let differing = found.iter().zip(expected).filter(|(a, b)| a != b).count();
    let at = found.iter().zip(expected).position(|(a, b)| a != b)?;
    Some(format!(
        "{differing} bytes differ, first at x {} y {} channel {}: {} instead of {}",
        at / 3 % width,
        at / 3 / width,
        at % 3,
        found[at],
        expected[at]
    ))
}

#[test]
fn every_operation_at_every_magnitude_equals_pillow() {
    let original = RgbImage { width: 17, height: 13, pixels: bytes("pillow/image.bin") };
    let results = bytes("pillow/results.bin");
    let size = original.pixels.len();
    let cases = lines("pillow/cases.txt");
    assert_eq!(results.len(), cases.len() * size);
    let mut wrong = Vec::new();
    for (case, expected) in cases.iter().zip(results.chunks_exact(size)) {
        let mut image = original.clone();
        let index = case[1].parse().expect("an index");
        operation(&case[0]).apply(index, case[2] == "-", &mut image, &mut RgbImage::default());
        if let Some(difference) = first_difference(&image.pixels, expected, 17) {
            wrong.push(format!("{}: {difference}", case.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_sub_policy_equals_pillow_on_an_image_of_cifars_size() {
    let original = RgbImage { width: 32, height: 32, pixels: bytes("pillow/policy_image.bin") };
    let results = bytes("pillow/policy_results.bin");
    assert_eq!(results.len(), 25 * 3072);
    for (number, (policy, expected)) in SUB_POLICIES.iter().zip(results.chunks_exact(3072)).enumerate() {
        let SubPolicy(_, first, m1, _, second, m2) = *policy;
        let (mut image, mut spare) = (original.clone(), RgbImage::default());
        first.apply(m1, false, &mut image, &mut spare);
        second.apply(m2, true, &mut image, &mut spare);
        assert_eq!(first_difference(&image.pixels, expected, 32), None, "sub-policy {}", number + 1);
    }
}

#[test]
fn cutout_equals_pillow() {
    let shape = ImageShape { height: 32, width: 32, channels: 3 };
    let original = bytes("pillow/policy_image.bin");
    let results = bytes("pillow/cutout_results.bin");
    for (case, expected) in lines("pillow/cutout_cases.txt").iter().zip(results.chunks_exact(3072)) {
        let number = |i: usize| case[i].parse().expect("a number");
        let mut pixels = original.clone();
        CutoutBox::around(number(0), number(1), shape).fill(shape, &mut pixels);
        assert_eq!(first_difference(&pixels, expected, 32), None, "centre {case:?}");
    }
}

#[test]
fn crop_flip_normalise_equals_torchvision() {
    for (name, side, channels, mean, std) in [
        ("colour", 32, 3, &[0.4914, 0.4822, 0.4465][..], &[0.2023, 0.1994, 0.2010][..]),
        ("grey", 28, 1, &[0.2860], &[0.3530]),
    ] {
        let shape = ImageShape { height: side, width: side, channels };
        let image = bytes(&format!("torchvision/{name}.bin"));
        let results = floats(&format!("torchvision/{name}_results.bin"));
        let table = PixelTable::new(mean, std, channels).expect("valid statistics");
        for (case, expected) in lines("torchvision/cases.txt").iter().zip(results.chunks_exact(shape.len())) {
            let number = |i: usize| case[i].parse::<usize>().expect("a number");
            let crop = CropFlip { top: number(0), left: number(1), flip: number(2) == 1 };
            let mut direct = vec![f32::NAN; shape.len()];
            crop.normalize(&image, shape, &table, &mut direct);
            assert_eq!(direct, expected, "{name} {case:?}");
            let (mut cropped, mut by_way_of_bytes) = (vec![0; shape.len()], vec![f32::NAN; shape.len()]);
            crop.copy(&image, shape, &mut cropped);
            table.normalize(&cropped, &mut by_way_of_bytes);
            assert_eq!(by_way_of_bytes, expected, "{name} {case:?}");
        }
    }
}
