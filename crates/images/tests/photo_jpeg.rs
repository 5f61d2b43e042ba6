//! The transforms of a JPEG, from its bytes, against Pillow to the byte: windows change nothing, and reductions what they should.
//!
//! `golden/photo/jpeg/make.py` made the files.

use std::path::PathBuf;

use longtail_images::photo::{PhotoScratch, PhotoSpec, PhotoTransform};
use longtail_ops::stream;
use longtail_recipe::{Decode, ExifOrientation};

const SIDE: usize = 16;
const WIDTH: usize = 190;
const HEIGHT: usize = 131;

fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/photo/jpeg").join(name);
    std::fs::read(path).expect("golden file")
}

fn spec(decode: Decode) -> PhotoSpec {
    let exif = ExifOrientation::Ignore;
    PhotoSpec { side: SIDE, resize_short: 18, decode, exif, mean: [0.0; 3], std: [1.0; 3] }
}

#[test]
fn exact_and_scaled_are_pillows_to_the_byte() {
    let (photo, pixels) = (golden("photo.jpg"), golden("pixels.bin"));
    let text = String::from_utf8(golden("cases.txt")).expect("text");
    let (mut scratch, mut out) = (PhotoScratch::default(), vec![0.0; 3 * SIDE * SIDE]);
    let (mut reduced, mut cases) = (0, 0);
    for (line, expected) in text.lines().zip(pixels.chunks_exact(out.len())) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words[place].parse::<usize>().expect("a number");
        let spec = spec(if words[0] == "exact" { Decode::Exact } else { Decode::Scaled });
        if words[2] == "eval" {
            let rng = || unreachable!("nothing is drawn to score");
            PhotoTransform::eval(&spec).apply(&photo, rng, &mut scratch, &mut out).expect("a photo");
        } else {
            let transform = PhotoTransform::train(&spec, None);
            let rng = || stream(number(2) as u64, "jpeg", 0, 0);
            let draw = transform.draw(WIDTH, HEIGHT, &mut rng());
            let crop = [draw.crop.left, draw.crop.top, draw.crop.width, draw.crop.height, usize::from(draw.mirror)];
            assert_eq!(crop, std::array::from_fn(|place| number(3 + place)), "other draws: put them into the script");
            transform.apply(&photo, rng, &mut scratch, &mut out).expect("a photo");
        }
        let differences = out.iter().zip(expected).map(|(ours, theirs)| (ours * 255.0 - f32::from(*theirs)).abs());
        let largest = differences.fold(0.0, f32::max);
        assert!(largest < 1e-3, "{line}: {largest} levels");
        reduced += usize::from(number(1) > 1);
        cases += 1;
    }
    assert_eq!((cases, reduced), (20, 10), "cases");
}
