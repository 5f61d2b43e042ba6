//! PNGs of every form against Pillow's pixels, and what is refused, in words. `golden/png/make.py` made the files.

use std::path::PathBuf;

use longtail_images::decode::PhotoProblem;
use longtail_images::decode::{DecodeScratch, Window, check, probe};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/png").join(name)).expect("golden file")
}

/// Name, file, width, height and hash of the pixels.
fn forms() -> Vec<(String, Vec<u8>, usize, usize, String)> {
    let (bytes, text) = (golden("encoded.bin"), String::from_utf8(golden("cases.txt")).expect("text"));
    let mut rest = bytes.as_slice();
    let mut forms = Vec::new();
    for line in text.lines() {
        let [name, width, height, size, hash] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let number = |word: &str| word.parse::<usize>().expect("a number");
        let encoded;
        (encoded, rest) = rest.split_at(number(size));
        forms.push((name.to_owned(), encoded.to_vec(), number(width), number(height), hash.to_owned()));
    }
    assert!(rest.is_empty(), "bytes of no file");
    forms
}

fn form(name: &str) -> Vec<u8> {
    forms().into_iter().find(|form| form.0 == name).expect("a form").1
}

#[test]
fn every_form_has_pillows_pixels() {
    let (mut scratch, mut wrong) = (DecodeScratch::default(), Vec::new());
    for (name, encoded, width, height, hash) in forms() {
        let outcome = probe(&encoded).and_then(|header| {
            let pixels = scratch.decode(&encoded, &header, Window::whole(&header), 1)?;
            assert_eq!((pixels.width, pixels.height), (width, height), "{name}");
            Ok(blake3::hash(pixels.rgb).to_hex().to_string())
        });
        match outcome {
            Ok(found) if found == hash => {}
            Ok(_) => wrong.push(format!("{name}: other pixels")),
            Err(problem) => wrong.push(format!("{name}: {problem}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where the body of the first chunk of a kind begins, and how long it is.
fn body(encoded: &[u8], kind: &[u8; 4]) -> (usize, usize) {
    let at = encoded.windows(4).position(|four| four == kind).expect("a chunk");
    (at + 4, u32::from_be_bytes(encoded[at - 4..at].try_into().expect("four bytes")) as usize)
}

/// With another body of a chunk, and the right checksum.
fn with_body(encoded: &[u8], kind: &[u8; 4], new: &[u8]) -> Vec<u8> {
    let (at, length) = body(encoded, kind);
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(new);
    let size = (new.len() as u32).to_be_bytes();
    [&encoded[..at - 8], &size, kind, new, &sum.sum().to_be_bytes(), &encoded[at + length + 4..]].concat()
}

fn chunk(encoded: &[u8], kind: &[u8; 4]) -> Vec<u8> {
    let (at, length) = body(encoded, kind);
    encoded[at..at + length].to_vec()
}

fn words(encoded: &[u8]) -> String {
    check(encoded).expect_err("damaged").to_string()
}

#[test]
fn wrong_sums_of_any_part_are_refused_in_words() {
    let rgb = form("colour_2_depth_8_plain_11_by_7");
    for (kind, place) in [(b"IHDR", 2), (b"IDAT", 20)] {
        let mut encoded = rgb.clone();
        encoded[body(&rgb, kind).0 + place] ^= 1;
        let name = String::from_utf8_lossy(kind);
        assert_eq!(words(&encoded), format!("damaged PNG data: the checksum of chunk `{name}` is wrong"));
    }
    let mut palette = form("colour_3_depth_4_interlaced_11_by_7");
    let at = body(&palette, b"PLTE").0;
    palette[at] ^= 1;
    assert_eq!(words(&palette), "damaged PNG data: the checksum of chunk `PLTE` is wrong");
    // The sum over the unpacked pixels, under a right one of the chunk.
    for name in
        ["colour_2_depth_8_plain_11_by_7", "colour_0_depth_1_interlaced_11_by_7", "colour_6_depth_16_plain_1_by_1"]
    {
        let encoded = form(name);
        let mut data = chunk(&encoded, b"IDAT");
        *data.last_mut().expect("bytes") ^= 1;
        let expected = "damaged PNG data: its compressed pixels are damaged, or their checksum is wrong";
        assert_eq!(words(&with_body(&encoded, b"IDAT", &data)), expected, "{name}");
    }
}

#[test]
fn pixels_that_are_missing_or_make_no_sense_are_refused_in_words() {
    let rgb = form("colour_2_depth_8_plain_11_by_7");
    let data = chunk(&rgb, b"IDAT");
    let early = with_body(&rgb, b"IDAT", &data[..data.len() / 2]);
    assert_eq!(words(&early), "damaged PNG data: its compressed pixels end too early");
    assert_eq!(
        words(&with_body(&rgb, b"IDAT", b"nonsense")),
        "damaged PNG data: its compressed pixels are damaged, or their checksum is wrong"
    );
    let pack = |rows: &[u8]| {
        use std::io::Write;
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(rows).expect("in memory");
        packer.finish().expect("in memory")
    };
    let few = "damaged PNG data: its chunks do not form an image: too few pixels, an unknown filter, or a chunk in the wrong place";
    assert_eq!(words(&with_body(&rgb, b"IDAT", &pack(&[0; 34 * 6]))), few, "six rows of seven");
    assert_eq!(words(&with_body(&rgb, b"IDAT", &pack(&[9; 34 * 7]))), few, "a filter of no number");
    // All that is cut is called so, but for the end behind the picture, which nobody needs.
    let end = body(&rgb, b"IEND").0 - 8;
    for cut in 9..end {
        assert!(matches!(check(&rgb[..cut]), Err(PhotoProblem::Truncated { .. })), "{cut}");
    }
    check(&rgb[..end]).expect("a whole picture");
}

#[test]
fn headers_that_no_png_has_are_refused_in_words() {
    let rgb = form("colour_2_depth_8_plain_11_by_7");
    let header = chunk(&rgb, b"IHDR");
    for (place, value, expected) in [
        (3, 0, "damaged PNG data: no rows or no columns"),
        (7, 0, "damaged PNG data: no rows or no columns"),
        (8, 4, "damaged PNG data: colour type 2 of a PNG cannot have 4 bits per sample"),
        (9, 5, "damaged PNG data: colour type 5 of a PNG cannot have 8 bits per sample"),
        (9, 3, "damaged PNG data: indexed colours without a palette"),
        (10, 1, "damaged PNG data: unknown compression 1, filter 0 or interlacing 0"),
        (12, 2, "damaged PNG data: unknown compression 0, filter 0 or interlacing 2"),
        (0, 0x7F, "2130706443 x 7 pixels are more than the limit of 100 million, which protects memory"),
    ] {
        let mut changed = header.clone();
        changed[place] = value;
        assert_eq!(words(&with_body(&rgb, b"IHDR", &changed)), expected);
    }
    assert_eq!(words(&with_body(&rgb, b"IHDR", &header[..12])), "damaged PNG data: it does not start with its header");
    let palette = form("colour_3_depth_2_plain_11_by_7");
    assert_eq!(words(&with_body(&palette, b"PLTE", &[0; 10])), "damaged PNG data: a palette of 10 bytes");
    assert_eq!(words(&with_body(&palette, b"PLTE", &[])), "damaged PNG data: a palette of 0 bytes");
}

#[test]
fn damaged_files_never_panic_and_never_speak_rust() {
    let mut state = 5u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for (name, encoded, ..) in forms() {
        for _ in 0..30 {
            let mut encoded = encoded.clone();
            let at = draw(encoded.len());
            encoded[at] ^= 1 << draw(8);
            if let Err(problem) = check(&encoded) {
                let problem = problem.to_string();
                assert!(!problem.contains(['{', '}']) && !problem.contains("::"), "{name}: {problem}");
            }
        }
    }
}
