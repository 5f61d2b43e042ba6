//! Decoded pixels against Pillow's, and what is refused: cut, damaged, foreign and enormous files.

use std::path::PathBuf;

use longtail_datasets::photo::decode::{DecodeScratch, Header, PhotoFormat, Window, check, probe};

struct Case {
    name: String,
    encoded: Vec<u8>,
    width: usize,
    height: usize,
    orientation: u8,
    /// Pillow's, `(H, W, 3)`.
    rgb: Vec<u8>,
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decode").join(name)
}

fn cases() -> Vec<Case> {
    let pixels = std::fs::read(golden("pixels.bin")).expect("golden file");
    let mut rest = pixels.as_slice();
    let list = std::fs::read_to_string(golden("cases.txt")).expect("golden file");
    let cases: Vec<Case> = list
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |place: usize| words[place].parse::<usize>().expect("a number");
            let (width, height) = (number(1), number(2));
            let rgb;
            (rgb, rest) = rest.split_at(3 * width * height);
            Case {
                name: words[0].to_owned(),
                encoded: std::fs::read(golden(words[0])).expect("golden file"),
                width,
                height,
                orientation: number(3) as u8,
                rgb: rgb.to_vec(),
            }
        })
        .collect();
    assert!(rest.is_empty(), "pixels of no case");
    cases
}

/// The largest difference between two rows of bytes.
fn largest(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// The window's pixels, `(H, W, 3)`, from the scratch's answer.
fn window_of(scratch: &mut DecodeScratch, encoded: &[u8], header: &Header, window: Window) -> Vec<u8> {
    let pixels = scratch.decode(encoded, header, window, 1).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(pixels.reduce, 1);
    let (left, top) = (window.left as usize, window.top as usize);
    assert!(pixels.left <= left && pixels.top <= top, "the window's first pixel is there");
    assert!(left + window.width as usize <= pixels.left + pixels.width, "the window's columns are there");
    assert!(top + window.height as usize <= pixels.top + pixels.height, "the window's rows are there");
    (top - pixels.top..top - pixels.top + window.height as usize)
        .flat_map(|row| &pixels.rgb[row * pixels.stride + 3 * (left - pixels.left)..][..3 * window.width as usize])
        .copied()
        .collect()
}

#[test]
fn pixels_are_pillows() {
    let mut scratch = DecodeScratch::default();
    for case in cases() {
        let header = probe(&case.encoded).unwrap_or_else(|problem| panic!("{}: {problem}", case.name));
        assert_eq!((header.width as usize, header.height as usize), (case.width, case.height), "{}", case.name);
        let png = case.name.ends_with("png");
        assert_eq!(header.format == PhotoFormat::Png, png, "{}", case.name);
        let orientation = if (1..=8).contains(&case.orientation) { case.orientation } else { 1 };
        assert_eq!(header.orientation, orientation, "{}", case.name);
        let rgb = window_of(&mut scratch, &case.encoded, &header, Window::whole(&header));
        let difference = largest(&rgb, &case.rgb);
        assert!(difference <= 24, "{}: {difference}", case.name);
        check(&case.encoded).unwrap_or_else(|problem| panic!("{}: {problem}", case.name));
    }
}
