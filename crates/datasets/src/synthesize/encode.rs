//! Pictures as files, in the forms that a real photo collection has: baseline and progressive JPEG, grey, CMYK, turned by
//! EXIF, and a PNG under a JPEG's name.

use jpeg_encoder::{ColorType, Encoder};

use super::scene::Rgb;

/// How a picture is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Baseline JPEG, three components.
    Plain,
    /// Progressive JPEG.
    Progressive,
    /// One component.
    Grey,
    /// Four components, inverted as Adobe's programs do, without black.
    Cmyk,
    /// Pixels lie so that EXIF's orientation 6 (a quarter turn clockwise) puts them upright.
    Turned,
    /// A PNG whose name says JPEG; ImageNet has one.
    Png,
}

/// The forms of the images of one part, by running number: most are plain; the rare ones lie early, so that small trees
/// have them too.
pub fn form(number: usize) -> Form {
    match number {
        11 => Form::Png,
        19 => Form::Cmyk,
        _ if number % 37 == 5 => Form::Grey,
        _ if number % 23 == 3 => Form::Turned,
        _ if number % 10 == 7 => Form::Progressive,
        _ => Form::Plain,
    }
}

/// The file's bytes.
pub fn encode(image: &Rgb, form: Form, quality: u8) -> Vec<u8> {
    match form {
        Form::Plain => jpeg(image, quality, ColorType::Rgb, |_| {}),
        Form::Progressive => jpeg(image, quality, ColorType::Rgb, |encoder| encoder.set_progressive(true)),
        Form::Grey => {
            // Rec. 601 luma in sixteenths of 4096.
            let luma = |pixel: &[u8]| {
                ((1225 * u32::from(pixel[0]) + 2404 * u32::from(pixel[1]) + 467 * u32::from(pixel[2])) / 4096) as u8
            };
            let bytes = image.bytes.chunks_exact(3).map(luma).collect();
            jpeg(&Rgb { bytes, ..*image }, quality, ColorType::Luma, |_| {})
        }
        Form::Cmyk => {
            let inks = |pixel: &[u8]| [255 - pixel[0], 255 - pixel[1], 255 - pixel[2], 0];
            let bytes = image.bytes.chunks_exact(3).flat_map(inks).collect();
            jpeg(&Rgb { bytes, ..*image }, quality, ColorType::Cmyk, |_| {})
        }
        Form::Turned => jpeg(&turned(image), quality, ColorType::Rgb, |encoder| {
            encoder.add_exif_metadata(&ORIENTATION_6).expect("26 bytes fit a segment");
        }),
        Form::Png => png(image),
    }
}

fn jpeg(image: &Rgb, quality: u8, colour: ColorType, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    set(&mut encoder);
    let side = |length: usize| u16::try_from(length).expect("sides are at most 1.4 times 1024");
    encoder
        .encode(&image.bytes, side(image.width), side(image.height), colour)
        .expect("the buffer has the size that its sides say, and writing into memory does not fail");
    bytes
}

/// A TIFF of one tag, little endian: 0x0112 (orientation), a SHORT, one of them, 6.
const ORIENTATION_6: [u8; 26] =
    [b'I', b'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0];

/// A quarter turn counter-clockwise.
fn turned(image: &Rgb) -> Rgb {
    let (width, height) = (image.height, image.width);
    let mut bytes = Vec::with_capacity(image.bytes.len());
    for row in 0..height {
        for column in 0..width {
            let from = (column * image.width + (image.width - 1 - row)) * 3;
            bytes.extend_from_slice(&image.bytes[from..from + 3]);
        }
    }
    Rgb { width, height, bytes }
}

/// Eight bits, RGB, no filter, stored and not deflated: the bytes depend on no compressor.
fn png(image: &Rgb) -> Vec<u8> {
    let mut lines = Vec::with_capacity(image.bytes.len() + image.height);
    for line in image.bytes.chunks_exact(image.width * 3) {
        lines.push(0);
        lines.extend_from_slice(line);
    }
    let mut zlib = vec![0x78, 0x01];
    let mut blocks = lines.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        zlib.push(u8::from(blocks.peek().is_none()));
        zlib.extend_from_slice(&length.to_le_bytes());
        zlib.extend_from_slice(&(!length).to_le_bytes());
        zlib.extend_from_slice(block);
    }
    zlib.extend_from_slice(&adler32(&lines).to_be_bytes());
    let mut header = Vec::new();
    header.extend_from_slice(&(image.width as u32).to_be_bytes());
    header.extend_from_slice(&(image.height as u32).to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", &header), (b"IDAT", &zlib), (b"IEND", &Vec::new())] {
        file.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let start = file.len();
        file.extend_from_slice(kind);
        file.extend_from_slice(data);
        let mut sum = flate2::Crc::new();
        sum.update(&file[start..]);
        file.extend_from_slice(&sum.sum().to_be_bytes());
    }
    file
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for &byte in bytes {
        low = (low + u32::from(byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Rgb {
        Rgb { width: 3, height: 2, bytes: (0..18).map(|value| value * 14).collect() }
    }

    #[test]
    fn every_form_begins_with_its_own_magic_number() {
        for form in [Form::Plain, Form::Progressive, Form::Grey, Form::Cmyk, Form::Turned] {
            assert_eq!(encode(&image(), form, 90)[..3], [0xff, 0xd8, 0xff], "{form:?}");
        }
        assert_eq!(encode(&image(), Form::Png, 90)[..4], *b"\x89PNG");
        let turned = encode(&image(), Form::Turned, 90);
        assert!(turned.windows(6).any(|bytes| bytes == b"Exif\0\0"));
        assert!(encode(&image(), Form::Cmyk, 90).windows(5).any(|bytes| bytes == b"Adobe"));
    }

    #[test]
    fn a_quarter_turn_puts_the_right_column_on_top() {
        let Rgb { width, height, bytes } = turned(&image());
        assert_eq!((width, height), (2, 3));
        // Pixels 0 1 2 / 3 4 5 become 2 5 / 1 4 / 0 3.
        let pixels: Vec<u8> = bytes.chunks_exact(3).map(|pixel| pixel[0] / 42).collect();
        assert_eq!(pixels, [2, 5, 1, 4, 0, 3]);
    }

    #[test]
    fn the_sum_is_that_of_the_definition() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398); // the known sum of this word
    }

    #[test]
    fn the_first_forty_images_hold_every_form() {
        let forms: Vec<Form> = (0..40).map(form).collect();
        for wanted in [Form::Plain, Form::Progressive, Form::Grey, Form::Cmyk, Form::Turned, Form::Png] {
            assert!(forms.contains(&wanted), "{wanted:?}");
        }
    }
}
