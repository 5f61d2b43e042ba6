//! The transforms of photos, from encoded bytes straight into the batch.

use longtail_ops::below;
use longtail_recipe::{Decode, ExifOrientation};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::adjust::{Adjustment, ColorJitter};
use super::crop::{Crop, centred, resized};
use super::orient::upright;
use super::resize::{ResizeScratch, Stretch};
use crate::decode::{DecodeScratch, PhotoProblem, Pixels, Window, probe};
use crate::pixels::write_interleaved;
use crate::transform::{Scratch, TrainTransform};

/// What training and scoring have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoSpec {
    /// Width and height of what comes out, pixels.
    pub side: usize,
    /// The short side before the evaluation crop, pixels; at least `side`.
    pub resize_short: usize,
    /// Whether the codec may reduce while it decodes.
    pub decode: Decode,
    /// Whether the image is turned upright first.
    pub exif: ExifOrientation,
    /// Subtracted from each channel of values in 0..=1.
    pub mean: [f32; 3],
    /// Divides each channel then.
    pub std: [f32; 3],
}

/// The chances of one training image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The part that is looked at, in the upright image where orientation is applied.
    pub crop: Crop,
    /// Whether left and right change places.
    pub mirror: bool,
    /// Changes of colour, in this order.
    pub jitter: Option<[Adjustment; 3]>,
}

/// Buffers, to be used again for the next photo; nothing of one photo shows in the next.
#[derive(Debug, Default)]
pub struct PhotoScratch {
    decode: DecodeScratch,
    resize: ResizeScratch,
    upright: Vec<u8>,
    small: Vec<u8>,
    pixels: Scratch,
}

/// A transform of photos: random (to train) or not (to score).
#[derive(Debug, Clone)]
pub struct PhotoTransform {
    spec: PhotoSpec,
    /// The jitter; `None` outside for scoring.
    random: Option<Option<ColorJitter>>,
    /// What follows the crop in the middle: the augmentation of images that are stored as pixels.
    pixels: Option<TrainTransform>,
    /// Of each channel, the normalised value of each byte.
    tables: Box<[[f32; 256]; 3]>,
}

impl PhotoTransform {
    /// Random resized crop, flip with chance ½, and the jitter if there is one.
    ///
    /// # Source
    /// torchvision's `RandomResizedCrop(side)`, `RandomHorizontalFlip()`, `ColorJitter`, `ToTensor()`, `Normalize` on Pillow images.
    pub fn train(spec: &PhotoSpec, jitter: Option<ColorJitter>) -> Self {
        Self::new(spec, Some(jitter))
    }

    /// The short side to `resize_short`, then the `side`×`side` pixels in the middle.
    ///
    /// # Source
    /// torchvision's `Resize(resize_short)`, `CenterCrop(side)`, `ToTensor()`, `Normalize` on Pillow images.
    ///
    /// # Panics
    /// If `resize_short` is less than `side`.
    pub fn eval(spec: &PhotoSpec) -> Self {
        assert!(spec.resize_short >= spec.side, "a crop inside the resized image");
        Self::new(spec, None)
    }

    /// The crop of [`PhotoTransform::eval`], then `pixels`: what images of that size are trained with. A photo of `side`×`side`
    /// pixels with `resize_short` = `side` is taken as it is.
    pub fn train_pixels(spec: &PhotoSpec, pixels: TrainTransform) -> Self {
        Self { pixels: Some(pixels), ..Self::eval(spec) }
    }

    fn new(spec: &PhotoSpec, random: Option<Option<ColorJitter>>) -> Self {
        assert!(spec.side > 0, "an image has pixels");
        let tables = std::array::from_fn(|channel| {
            std::array::from_fn(|byte| (byte as f32 / 255.0 - spec.mean[channel]) / spec.std[channel])
        });
        Self { spec: spec.clone(), random, pixels: None, tables: Box::new(tables) }
    }

    /// Decodes a photo and writes it, transformed, to `out`. `rng` is asked for only by a random transform.
    ///
    /// # Shapes
    /// - `out`: `(side, side, 3)` f32, normalised
    ///
    /// # Errors
    /// Bytes that are no readable photo: [`check`](crate::decode::check) says the same of them, but for damage that only it sees.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn apply(
        &self,
        encoded: &[u8],
        rng: impl FnOnce() -> ChaCha8Rng,
        scratch: &mut PhotoScratch,
        out: &mut [f32],
    ) -> Result<(), PhotoProblem> {
        let header = probe(encoded)?;
        let turned = self.spec.exif == ExifOrientation::Apply && header.orientation != 1;
        let (mut width, mut height) = (header.width as usize, header.height as usize);
        if turned && header.orientation >= 5 {
            (width, height) = (height, width);
        }
        let mut stream = (self.random.is_some() || self.pixels.is_some()).then(rng);
        let draw = stream.as_mut().filter(|_| self.random.is_some()).map(|stream| self.draw(width, height, stream));
        let by = if turned { 1 } else { self.reduction(width, height, draw.as_ref()) };
        let window = if turned { Window::whole(&header) } else { self.window(width, height, draw.as_ref(), by) };
        let mut pixels = scratch.decode.decode(encoded, &header, window, by)?;
        if turned {
            upright(&pixels, header.orientation, &mut scratch.upright);
            pixels = Pixels { rgb: &scratch.upright, stride: 3 * width, width, height, ..pixels };
        }
        self.resize(&pixels, (width, height), draw.as_ref(), &mut scratch.resize);
        match (&self.pixels, &mut stream) {
            (Some(transform), Some(stream)) => {
                interleave(&scratch.resize.image, self.spec.side, &mut scratch.small);
                transform.apply(&scratch.small, stream, &mut scratch.pixels, out);
            }
            _ => self.write(draw.as_ref(), &scratch.resize, out),
        }
        Ok(())
    }

    /// As [`PhotoTransform::apply`], of decoded pixels and with given chances; `None` scores.
    ///
    /// # Shapes
    /// - `rgb`: `(height, width, 3)` bytes  - `out`: `(side, side, 3)`
    ///
    /// # Panics
    /// If the lengths differ, the crop is empty or leaves the image, or the transform is that of stored pixels.
    pub fn apply_to_pixels(
        &self,
        rgb: &[u8],
        width: usize,
        draw: Option<&Draw>,
        scratch: &mut PhotoScratch,
        out: &mut [f32],
    ) {
        assert!(self.pixels.is_none(), "`TrainTransform` takes pixels");
        assert!(width > 0 && !rgb.is_empty() && rgb.len().is_multiple_of(3 * width), "whole rows");
        let height = rgb.len() / (3 * width);
        let pixels = Pixels { rgb, stride: 3 * width, width, height, left: 0, top: 0, reduce: 1 };
        self.resize(&pixels, (width, height), draw, &mut scratch.resize);
        self.write(draw, &scratch.resize, out);
    }

    /// The chances of one image of `width`×`height` pixels: crop, flip, jitter, drawn in this order.
    ///
    /// # Panics
    /// If the transform is not random.
    pub fn draw(&self, width: usize, height: usize, rng: &mut ChaCha8Rng) -> Draw {
        let jitter = self.random.expect("only a random transform draws");
        Draw {
            crop: Crop::draw(width, height, rng),
            mirror: below(rng, 2) == 1,
            jitter: jitter.map(|jitter| jitter.draw(rng)),
        }
    }

    /// What is done, for a dump's metadata. Keys of stages hold the recipe's words: a change of semantics raises code versions.
    pub fn describe(&self) -> Value {
        let spec = &self.spec;
        let mut described = json!({
            "semantics": "torchvision on Pillow, 2",
            "side": spec.side,
            "decode": spec.decode,
            "exif_orientation": spec.exif,
            "mean": spec.mean,
            "std": spec.std,
        });
        match self.random {
            None => {
                described["name"] = json!("resize_center_crop");
                described["resize_short"] = json!(spec.resize_short);
                if let Some(pixels) = &self.pixels {
                    described["then"] = pixels.describe();
                }
            }
            Some(jitter) => {
                described["name"] = json!("random_resized_crop_flip");
                if let Some(jitter) = jitter {
                    described["jitter"] = json!([jitter.brightness, jitter.contrast, jitter.saturation]);
                }
            }
        }
        described
    }

    /// The largest reduction that still leaves as many pixels as are wanted, both ways.
    fn reduction(&self, width: usize, height: usize, draw: Option<&Draw>) -> u32 {
        if self.spec.decode == Decode::Exact {
            return 1;
        }
        let ((width, height), (wide, high)) = match draw {
            Some(draw) => ((draw.crop.width, draw.crop.height), (self.spec.side, self.spec.side)),
            None => ((width, height), resized(width, height, self.spec.resize_short)),
        };
        let enough = |by: u32| width / by as usize >= wide && height / by as usize >= high;
        [8, 4, 2].into_iter().find(|&by| enough(by)).unwrap_or(1)
    }

    /// What the resize reads: its two axes, in an image that was reduced `by`.
    fn stretches(&self, width: usize, height: usize, draw: Option<&Draw>, by: u32) -> (Stretch, Stretch) {
        let side = self.spec.side;
        match draw {
            Some(Draw { crop, .. }) => (
                Stretch::new(width, crop.left, crop.width, side, by),
                Stretch::new(height, crop.top, crop.height, side, by),
            ),
            None => {
                let (wide, high) = resized(width, height, self.spec.resize_short);
                let axis = |whole: usize, outputs: usize| Stretch {
                    first: centred(outputs, side),
                    ..Stretch::new(whole, 0, whole, outputs, by)
                };
                (axis(width, wide), axis(height, high))
            }
        }
    }

    /// The stored pixels that are needed.
    fn window(&self, width: usize, height: usize, draw: Option<&Draw>, by: u32) -> Window {
        if let (Some(Draw { crop, .. }), 1) = (draw, by) {
            let Crop { left, top, width, height } = *crop;
            return Window { left: left as u32, top: top as u32, width: width as u32, height: height as u32 };
        }
        let (x, y) = self.stretches(width, height, draw, by);
        let ((left, wide), (top, high)) = (x.window(self.spec.side, by, width), y.window(self.spec.side, by, height));
        Window { left, top, width: wide, height: high }
    }

    /// Resize and jitter, into [`ResizeScratch::image`]. `width` and `height`: the upright image's before any reduction.
    fn resize(
        &self,
        pixels: &Pixels<'_>,
        (width, height): (usize, usize),
        draw: Option<&Draw>,
        scratch: &mut ResizeScratch,
    ) {
        let side = self.spec.side;
        let (mut x, mut y) = self.stretches(width, height, draw, pixels.reduce);
        let mut pixels = *pixels;
        if let Some(Draw { crop, .. }) = draw {
            assert!(crop.width > 0 && crop.left + crop.width <= width, "a crop inside the image");
            assert!(crop.height > 0 && crop.top + crop.height <= height, "a crop inside the image");
            if pixels.reduce == 1 {
                // torchvision cuts out before it resizes: no pixel beyond the crop has a part in the result.
                pixels = cut(&pixels, crop);
                x = Stretch::new(crop.width, 0, crop.width, side, 1);
                y = Stretch::new(crop.height, 0, crop.height, side, 1);
            }
        }
        scratch.resize(&pixels, &x, &y, side);
        for adjustment in draw.and_then(|draw| draw.jitter).into_iter().flatten() {
            adjustment.apply(&mut scratch.image, side);
        }
    }

    /// Flip and normalise.
    fn write(&self, draw: Option<&Draw>, scratch: &ResizeScratch, out: &mut [f32]) {
        let side = self.spec.side;
        assert_eq!(out.len(), 3 * side * side, "{side}×{side} pixels");
        let mirror = draw.is_some_and(|draw| draw.mirror);
        write_interleaved(&scratch.image, side, &self.tables, mirror, out);
    }
}

/// Rows of three planes, `(side, 3, side)`, as pixels of three bytes, `(side, side, 3)`.
fn interleave(planes: &[u8], side: usize, out: &mut Vec<u8>) {
    out.resize(planes.len(), 0);
    for (planes, out) in planes.chunks_exact(3 * side).zip(out.chunks_exact_mut(3 * side)) {
        for (x, pixel) in out.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[planes[x], planes[side + x], planes[2 * side + x]]);
        }
    }
}

/// The pixels of a crop, as an image of their own.
fn cut<'a>(pixels: &Pixels<'a>, crop: &Crop) -> Pixels<'a> {
    let (left, top) = (crop.left - pixels.left, crop.top - pixels.top);
    assert!(left + crop.width <= pixels.width && top + crop.height <= pixels.height, "the crop was decoded");
    let rgb = &pixels.rgb[top * pixels.stride + 3 * left..];
    Pixels { rgb, width: crop.width, height: crop.height, left: 0, top: 0, ..*pixels }
}
