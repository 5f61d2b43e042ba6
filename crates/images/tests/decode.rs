//! Decoded pixels against Pillow's, and what is refused: cut, damaged, foreign and enormous files.

use std::path::PathBuf;

use longtail_images::decode::PhotoProblem;
use longtail_images::decode::{DecodeScratch, Header, PhotoFormat, Window, check, probe};

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

/// The window's pixels, `(H, W, 3)`, from the scratch's answer, reduced as far as that goes.
fn window_of(scratch: &mut DecodeScratch, encoded: &[u8], header: &Header, window: Window, reduce: u32) -> Vec<u8> {
    let pixels = scratch.decode(encoded, header, window, reduce).unwrap_or_else(|problem| panic!("{problem}"));
    let by = pixels.reduce as usize;
    let (left, top) = (window.left as usize / by, window.top as usize / by);
    let right = ((window.left + window.width) as usize).div_ceil(by);
    let bottom = ((window.top + window.height) as usize).div_ceil(by);
    assert!(pixels.left <= left && pixels.top <= top, "the window's first pixel is there");
    assert!(right <= pixels.left + pixels.width, "the window's columns are there");
    assert!(bottom <= pixels.top + pixels.height, "the window's rows are there");
    (top - pixels.top..bottom - pixels.top)
        .flat_map(|row| &pixels.rgb[row * pixels.stride + 3 * (left - pixels.left)..][..3 * (right - left)])
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
        let rgb = window_of(&mut scratch, &case.encoded, &header, Window::whole(&header), 1);
        assert_eq!(largest(&rgb, &case.rgb), 0, "{}", case.name);
        check(&case.encoded).unwrap_or_else(|problem| panic!("{}: {problem}", case.name));
    }
}

#[test]
fn reduced_pixels_are_pillows_too() {
    let all = cases();
    let pixels = std::fs::read(golden("reduced.bin")).expect("golden file");
    let mut rest = pixels.as_slice();
    let mut compared = 0;
    for line in std::fs::read_to_string(golden("reduced.txt")).expect("golden file").lines() {
        let [name, reduce, width, height] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let number = |word: &str| word.parse::<usize>().expect("a number");
        let rgb;
        (rgb, rest) = rest.split_at(3 * number(width) * number(height));
        let case = all.iter().find(|case| case.name == name).expect("a case");
        let header = probe(&case.encoded).expect("a header");
        let mut scratch = DecodeScratch::default();
        let found = scratch
            .decode(&case.encoded, &header, Window::whole(&header), number(reduce) as u32)
            .unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!((found.width, found.height), (number(width), number(height)), "{line}");
        assert_eq!(largest(found.rgb, rgb), 0, "{line}");
        compared += 1;
    }
    assert!(rest.is_empty(), "pixels of no case");
    assert!(compared > 60, "{compared}");
}

#[test]
fn a_windows_pixels_are_those_of_the_whole() {
    let mut state = 3u64;
    let mut draw = |below: u32| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32 % below
    };
    let mut scratch = DecodeScratch::default();
    for case in cases() {
        let header = probe(&case.encoded).expect("a header");
        for reduce in [1, 2, 4, 8] {
            let whole = DecodeScratch::default()
                .decode(&case.encoded, &header, Window::whole(&header), reduce)
                .map(|pixels| (pixels.rgb.to_vec(), pixels.stride, pixels.reduce))
                .expect("a photo");
            for _ in 0..40 {
                let (left, top) = (draw(header.width), draw(header.height));
                let (width, height) = (1 + draw(header.width - left), 1 + draw(header.height - top));
                let window = Window { left, top, width, height };
                let found = window_of(&mut scratch, &case.encoded, &header, window, reduce);
                let (rgb, stride, by) = &whole;
                let columns = (left / by) as usize..(left + width).div_ceil(*by) as usize;
                let rows = (top / by) as usize..(top + height).div_ceil(*by) as usize;
                let expected: Vec<u8> = rows
                    .flat_map(|row| &rgb[row * stride + 3 * columns.start..row * stride + 3 * columns.end])
                    .copied()
                    .collect();
                assert!(found == expected, "{} reduced by {reduce}, {window:?}", case.name);
            }
        }
    }
}

#[test]
fn a_window_spares_what_lies_outside() {
    let case = cases().into_iter().find(|case| case.name == "420_even.jpg").expect("a case");
    let header = probe(&case.encoded).expect("a header");
    let mut scratch = DecodeScratch::default();
    let window = Window { left: 4, top: 4, width: 8, height: 8 };
    let pixels = scratch.decode(&case.encoded, &header, window, 1).expect("a photo");
    assert_eq!((pixels.left, pixels.top, pixels.width, pixels.height), (4, 4, 8, 8));
    // Nothing below the window's units is read.
    let mut damaged = case.encoded.clone();
    let end = damaged.len() - 2;
    damaged[end - 60..end].fill(0xFE);
    check(&damaged).expect_err("damage that shows");
    scratch.decode(&damaged, &header, window, 1).expect("it lies elsewhere");
}

/// Where a JPEG's picture ends: after its last end marker.
fn picture_end(case: &Case) -> usize {
    case.encoded.windows(2).rposition(|two| two == [0xFF, 0xD9]).expect("an end marker") + 2
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    // Two cases have more data than their size asks for: they are whole before they end.
    for case in cases().iter().filter(|case| !["440.jpg", "411.jpg"].contains(&case.name.as_str())) {
        let png = case.name.ends_with("png");
        // The last chunk of a PNG is empty: twelve bytes that Pillow does not miss either.
        let end = if png { case.encoded.len() - 12 } else { picture_end(case) };
        // A PNG's picture is complete some bytes before its sums are.
        let end = if png { end - 8 } else { end };
        for cut in 0..end {
            let problem = check(&case.encoded[..cut]).expect_err(&format!("{} cut at {cut} of {end}", case.name));
            if cut == 0 {
                assert_eq!(problem, PhotoProblem::Empty);
            }
        }
        let middle = check(&case.encoded[..end - 5]).expect_err("cut");
        assert!(matches!(middle, PhotoProblem::Truncated { .. }) || png, "{}: {middle}", case.name);
    }
}

#[test]
fn a_thumbnails_end_is_not_the_pictures() {
    let case = cases().into_iter().find(|case| case.name == "444.jpg").expect("a case");
    let mut encoded = case.encoded[..2].to_vec();
    encoded.extend([0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0xFF, 0xD9]);
    encoded.extend(&case.encoded[2..case.encoded.len() - 2]);
    assert!(matches!(check(&encoded), Err(PhotoProblem::Truncated { .. })));
}

#[test]
fn what_a_scratch_held_before_changes_no_pixel() {
    let case = cases().into_iter().find(|case| case.name == "444.jpg").expect("a case");
    // Half of its picture is missing, and the end marker is there: read, as Pillow does.
    let mut encoded = case.encoded[..case.encoded.len() - 400].to_vec();
    encoded.extend([0xFF, 0xD9]);
    let header = probe(&encoded).expect("a header");
    let pixels = |scratch: &mut DecodeScratch| {
        scratch.decode(&encoded, &header, Window::whole(&header), 1).map(|pixels| pixels.rgb.to_vec())
    };
    let mut used = DecodeScratch::default();
    let full = probe(&case.encoded).expect("a header");
    used.decode(&case.encoded, &full, Window::whole(&full), 1).expect("a photo");
    assert_eq!(pixels(&mut used), pixels(&mut DecodeScratch::default()));
}

#[test]
fn damaged_files_never_panic() {
    let mut scratch = DecodeScratch::default();
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let (mut refused, mut read) = (0, 0);
    for case in cases() {
        for _ in 0..150 {
            let mut encoded = case.encoded.clone();
            for _ in 0..1 + draw(4) {
                let at = draw(encoded.len());
                encoded[at] = [draw(256) as u8, encoded[at] ^ (1 << draw(8)), 0xFF, 0][draw(4)];
            }
            let outcome = probe(&encoded)
                .and_then(|header| scratch.decode(&encoded, &header, Window::whole(&header), 1).map(|_| ()));
            match outcome {
                Ok(()) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    println!("{refused} refused, {read} read");
    assert!(refused > 500 && read > 500, "{refused} refused, {read} read");
}

#[test]
fn foreign_and_enormous_files_are_refused_from_their_first_bytes() {
    let problem = |bytes: &[u8]| probe(bytes).expect_err("no photo");
    assert_eq!(problem(b""), PhotoProblem::Empty);
    assert!(matches!(problem(b"<html>"), PhotoProblem::UnknownFormat { .. }));
    assert!(matches!(problem(b"RIFF\0\0\0\0WEBP"), PhotoProblem::UnknownFormat { .. }));
    let all = cases();
    let named = |name: &str| all.iter().find(|case| case.name == name).expect("a case").encoded.clone();
    let mut jpeg = named("444.jpg");
    let frame = jpeg.windows(2).position(|two| two == [0xFF, 0xC0]).expect("a frame");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x30, 0, 0x30, 0]);
    assert_eq!(problem(&jpeg), PhotoProblem::TooLarge { width: 0x3000, height: 0x3000 });
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0, 0, 0x30, 0]);
    assert!(matches!(problem(&jpeg), PhotoProblem::Damaged { .. }));
    jpeg[frame + 9] = 2;
    assert!(matches!(problem(&jpeg), PhotoProblem::Unsupported { .. }));
    jpeg[frame + 1] = 0xC9;
    assert!(matches!(problem(&jpeg), PhotoProblem::Unsupported { .. }));
    let mut png = named("rgb.png");
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    assert_eq!(problem(&png), PhotoProblem::TooLarge { width: 0x10000, height: 0x10000 });
}

/// A file with more segments right after its beginning.
fn with_segments(encoded: &[u8], segments: &[u8]) -> Vec<u8> {
    [&encoded[..2], segments, &encoded[2..]].concat()
}

#[test]
fn oddities_that_pillow_reads_are_read() {
    for case in cases().iter().filter(|case| ["420.jpg", "444.jpg", "grey.jpg"].contains(&case.name.as_str())) {
        let end = picture_end(case) - 2;
        let junk_before_end = [&case.encoded[..end], &[0x12, 0x34, 0, 0], &case.encoded[end..]].concat();
        let fill_before_end = [&case.encoded[..end], &[0xFF, 0xFF], &case.encoded[end..]].concat();
        let odd: [(&str, Vec<u8>); 9] = [
            ("bytes before the end", junk_before_end),
            ("fill bytes before the end", fill_before_end),
            ("EXIF of nonsense", with_segments(&case.encoded, b"\xFF\xE1\0\x0CExif\0\0\x01\x02\x03\x04")),
            ("EXIF that is cut", with_segments(&case.encoded, b"\xFF\xE1\0\x0EExif\0\0II*\0\xFF\xFF")),
            ("an empty APP1", with_segments(&case.encoded, b"\xFF\xE1\0\x02")),
            ("a profile of nonsense", with_segments(&case.encoded, b"\xFF\xE2\0\x10ICC_PROFILE\0\x09\x01")),
            ("an IPTC of nonsense", with_segments(&case.encoded, b"\xFF\xED\0\x14Photoshop 3.0\08BIM")),
            ("an APP of nothing", with_segments(&case.encoded, b"\xFF\xEB\0\x02")),
            ("a comment", with_segments(&case.encoded, b"\xFF\xFE\0\x06\xFF\xD9\xFF\xD8")),
        ];
        let mut wrong = Vec::new();
        for (what, encoded) in odd {
            if let Err(problem) = check(&encoded) {
                wrong.push(format!("{}: {what}: {problem}", case.name));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
