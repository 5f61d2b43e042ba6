//! Photos: decoding and transforms.

use longtail_recipe::{Decode, ExifOrientation};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Stub.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PhotoProblem(String);

/// Stub.
pub fn check(bytes: &[u8]) -> Result<(), PhotoProblem> {
    if bytes.starts_with(b"bad") { Err(PhotoProblem("stub".to_owned())) } else { Ok(()) }
}

/// Stub.
#[derive(Debug, Clone, PartialEq)]
pub struct PhotoSpec {
    /// Stub.
    pub side: usize,
    /// Stub.
    pub resize_short: usize,
    /// Stub.
    pub decode: Decode,
    /// Stub.
    pub exif: ExifOrientation,
    /// Stub.
    pub mean: [f32; 3],
    /// Stub.
    pub std: [f32; 3],
}

/// Stub.
#[derive(Debug, Clone, Default)]
pub struct ColorJitter;

/// Stub.
#[derive(Default)]
pub struct PhotoScratch;

/// Stub.
#[derive(Debug, Clone)]
pub struct PhotoTransform(PhotoSpec);

impl PhotoTransform {
    /// Stub.
    pub fn train(spec: &PhotoSpec, _jitter: Option<ColorJitter>) -> Self {
        Self(spec.clone())
    }
    /// Stub.
    pub fn eval(spec: &PhotoSpec) -> Self {
        Self(spec.clone())
    }
    /// Stub.
    pub fn apply(
        &self,
        encoded: &[u8],
        _rng: impl FnOnce() -> ChaCha8Rng,
        _scratch: &mut PhotoScratch,
        out: &mut [f32],
    ) -> Result<(), PhotoProblem> {
        check(encoded)?;
        out.fill(encoded.len() as f32);
        Ok(())
    }
    /// Stub.
    pub fn describe(&self) -> Value {
        json!({"side": self.0.side})
    }
}
