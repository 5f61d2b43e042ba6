//! JPEGs of every form: several scans, progressive, four colours, rare samplings, no end marker; each has Pillow's pixels or is refused by name.
//!
//! `golden/jpeg/make.py` made the files.

use std::path::PathBuf;

use longtail_images::decode::PhotoProblem;
use longtail_images::decode::{DecodeScratch, Window, check, probe};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jpeg").join(name)).expect("golden file")
}

fn lines(name: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8(golden(name)).expect("text");
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

fn number(word: &str) -> usize {
    word.parse().expect("a number")
}

/// Files by name, in order, of which `lines` gives the sizes.
fn files(binary: &str, lines: impl Iterator<Item = (String, usize)>) -> Vec<(String, Vec<u8>)> {
    let bytes = golden(binary);
    let mut rest = bytes.as_slice();
    let mut files = Vec::new();
    for (name, size) in lines {
        let encoded;
        (encoded, rest) = rest.split_at(size);
        files.push((name, encoded.to_vec()));
    }
    assert!(rest.is_empty(), "bytes of no file");
    files
}

fn forms() -> Vec<(String, Vec<u8>)> {
    let whole = lines("cases.txt").into_iter().filter(|line| line[1] == "1");
    files("encoded.bin", whole.map(|line| (line[0].clone(), number(&line[4]))))
}

fn encoded<'a>(forms: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &forms.iter().find(|(form, _)| form == name).expect("a form").1
}

#[test]
fn every_form_has_pillows_pixels_at_every_size() {
    let forms = forms();
    let (mut scratch, mut wrong, mut cases) = (DecodeScratch::default(), Vec::new(), 0);
    for line in lines("cases.txt") {
        let [name, reduce, width, height, _, hash] = line.as_slice() else { panic!("{line:?}") };
        let encoded = encoded(&forms, name);
        let outcome = probe(encoded).and_then(|header| {
            let pixels = scratch.decode(encoded, &header, Window::whole(&header), number(reduce) as u32)?;
            assert_eq!((pixels.width, pixels.height), (number(width), number(height)), "{name}");
            Ok(blake3::hash(pixels.rgb).to_hex().to_string())
        });
        match outcome {
            Ok(found) if found == *hash => cases += 1,
            Ok(_) => wrong.push(format!("{name} reduced by {reduce}: other pixels")),
            Err(problem) => wrong.push(format!("{name} reduced by {reduce}: {problem}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases > 350, "{cases}");
}

#[test]
fn windows_of_every_form_are_parts_of_the_whole() {
    let mut scratch = DecodeScratch::default();
    for (name, encoded) in forms() {
        let header = probe(&encoded).expect("a header");
        for reduce in [1, 2] {
            let whole = scratch.decode(&encoded, &header, Window::whole(&header), reduce).expect("a photo");
            let (rgb, stride) = (whole.rgb.to_vec(), whole.stride);
            let (left, top) = (header.width / 3, header.height / 2);
            let window = Window { left, top, width: (header.width - left).div_ceil(2), height: header.height - top };
            let part = scratch.decode(&encoded, &header, window, reduce).expect("a photo");
            for row in 0..part.height {
                let expected = &rgb[(part.top + row) * stride + 3 * part.left..][..3 * part.width];
                assert!(&part.rgb[row * part.stride..][..3 * part.width] == expected, "{name}, row {row}");
            }
        }
    }
}

#[test]
fn what_is_not_read_is_named() {
    let files = files("refused.bin", lines("refused.txt").into_iter().map(|line| (line[0].clone(), number(&line[1]))));
    for (name, expected) in [
        ("arithmetic", "a JPEG with arithmetic coding, which is not supported"),
        ("arithmetic_progressive", "a JPEG with arithmetic coding, which is not supported"),
        ("twelve_bits", "a JPEG of 12 bits per sample, which is not supported"),
        ("lossless", "a JPEG with lossless coding, which is not supported"),
        ("hierarchical", "a JPEG with hierarchical or lossless coding, which is not supported"),
        ("two_components", "a JPEG of 2 components, which is not supported"),
        ("uneven_samplings", "a JPEG whose sampling factors do not divide each other, which is not supported"),
        ("large_unit", "damaged JPEG data: a unit of more than 10 blocks"),
        ("sampling_of_nothing", "damaged JPEG data: a sampling of 0 by 2"),
        ("component_without_a_scan", "damaged JPEG data: scans are missing"),
        ("one_scan_twice", "damaged JPEG data: a scan that contradicts those before it"),
        ("scans_missing", "damaged JPEG data: scans are missing"),
        ("first_scan_missing", "damaged JPEG data: a scan that contradicts those before it"),
        ("two_frames", "damaged JPEG data: two frame headers"),
        ("no_quantisation_table", "damaged JPEG data: a scan without its quantisation table"),
        ("progressive_without_tables", "damaged JPEG data: a scan without its Huffman table"),
    ] {
        let problem = check(encoded(&files, name)).expect_err(name).to_string();
        assert!(problem.starts_with(expected), "{name}: {problem}");
    }
    assert_eq!(files.len(), 16);
}

#[test]
fn a_file_of_any_form_that_is_cut_is_refused() {
    let forms = forms();
    for name in [
        "scan_each_2x2",
        "scan_grouped_2x2_restarts",
        "progressive_narrow_2x2",
        "progressive_bands_1x1_restarts",
        "progressive_ycck",
    ] {
        let whole = encoded(&forms, name);
        let end = whole.len() - 1; // without all of the end marker
        for cut in (0..end).step_by(3).chain(end - 4..=end) {
            let problem = check(&whole[..cut]).expect_err(&format!("{name} cut at {cut} of {end}"));
            let expected = matches!(
                problem,
                PhotoProblem::Truncated { .. } | PhotoProblem::Empty | PhotoProblem::UnknownFormat { .. }
            );
            assert!(expected, "{name} cut at {cut}: {problem}");
        }
    }
}

/// Pillow reads such files of one scan; of several we read them too, when every scan is whole.
#[test]
fn a_whole_picture_needs_no_end_marker_where_something_follows() {
    let forms = forms();
    for name in [
        "one_scan_2x2",
        "one_scan_1x1",
        "scan_each_2x2",
        "progressive_2x2",
        "progressive_grey",
        "progressive_narrow_2x1_restarts",
        "cmyk",
    ] {
        let whole = encoded(&forms, name);
        let picture = &whole[..whole.len() - 2];
        let header = probe(whole).expect("a header");
        let pixels = |encoded: &[u8], window: Window| {
            let mut scratch = DecodeScratch::default();
            scratch.decode(encoded, &header, window, 1).map(|pixels| pixels.rgb.to_vec())
        };
        let all = Window::whole(&header);
        for trailer in [&b"\0\0\0\0SEFT"[..], b"\xFF\xFE\0\x04ab", &[0; 64], b"\xFF\xD8\xFF\xE1\0\x04ab"] {
            let followed = [picture, trailer].concat();
            assert_eq!(pixels(&followed, all), pixels(whole, all), "{name} with {trailer:x?}");
            // A cut file stays one, whatever was appended; and so it is for a window at its top.
            let cut = [&whole[..whole.len() - whole.len() / 8], b"\xFF\xFE\0\x04ab"].concat();
            let top = Window { height: 1, ..all };
            for window in [all, top] {
                assert!(matches!(pixels(&cut, window), Err(PhotoProblem::Truncated { .. })), "{name}");
            }
        }
        assert!(matches!(pixels(picture, all), Err(PhotoProblem::Truncated { .. })), "{name}: as Pillow says");
    }
}

#[test]
fn a_short_file_that_claims_many_blocks_is_cut() {
    let forms = forms();
    let mut claimed = encoded(&forms, "progressive_2x2").to_vec();
    let frame = claimed.windows(2).position(|two| two == [0xFF, 0xC2]).expect("a frame");
    claimed[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert!(matches!(check(&claimed), Err(PhotoProblem::Truncated { .. })));
}

#[test]
fn damaged_files_of_any_form_never_panic() {
    let (mut scratch, mut state) = (DecodeScratch::default(), 5u64);
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let (mut refused, mut read) = (0, 0);
    for (_, encoded) in forms() {
        for _ in 0..40 {
            let mut encoded = encoded.clone();
            for _ in 0..1 + draw(3) {
                let at = draw(encoded.len());
                encoded[at] = [draw(256) as u8, encoded[at] ^ (1 << draw(8)), 0xFF, 0][draw(4)];
            }
            let outcome = probe(&encoded).and_then(|header| {
                let reduce = 1 << draw(4);
                scratch.decode(&encoded, &header, Window::whole(&header), reduce).map(|_| ())
            });
            *if outcome.is_ok() { &mut read } else { &mut refused } += 1;
        }
    }
    assert!(refused > 300 && read > 300, "{refused} refused, {read} read");
}
