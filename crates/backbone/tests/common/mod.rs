//! What the integration tests share: small networks with lively weights, and random vectors.
#![allow(dead_code)] // each test binary uses a part of it

use longtail_backbone::{Architecture, ImageShape, Network, NormMode, ParamKind, Tape};
use longtail_ops::{Real, normal, stream};

pub const BOTH_MODES: [NormMode; 2] = [NormMode::Batch { track: false }, NormMode::Running];

/// A network, its vectors, and a batch.
pub struct Bench<T: Real> {
    pub network: Network<T>,
    pub params: Vec<T>,
    pub running: Vec<T>,
    pub images: Vec<T>,
    pub n: usize,
}

/// Odd sizes on purpose: 7×5 goes to 4×3 and then to 2×2.
pub fn bench<T: Real>(architecture: &str, (height, width, channels): (usize, usize, usize), n: usize) -> Bench<T> {
    let image = ImageShape { height, width, channels };
    let network = Network::new(&architecture.parse().expect("a known name"), image).expect("a possible size");
    let (mut params, mut running): (Vec<T>, Vec<T>) = network.init(&mut stream(5, "test/weights", 0, 0));
    // Neither γ = 1, β = 0 nor running statistics of 0 and 1 may hide a mistake.
    let mut rng = stream(6, "test/norms", 0, 0);
    let mut perturb = |entries: &[longtail_backbone::ParamEntry], values: &mut [T]| {
        for entry in entries.iter().filter(|entry| entry.kind != ParamKind::ConvWeight) {
            for value in &mut values[entry.range()] {
                let moved = value.to_f64() + 0.2 * normal(&mut rng);
                let kept_positive = if entry.kind == ParamKind::RunningVar { moved.abs() + 0.2 } else { moved };
                *value = T::from_f64(kept_positive);
            }
        }
    };
    perturb(network.params().entries(), &mut params);
    perturb(network.buffers().entries(), &mut running);
    let images = noise("test/images", n * image.len());
    Bench { network, params, running, images, n }
}

/// Standard normals; the name is the seed.
pub fn noise<T: Real>(purpose: &str, len: usize) -> Vec<T> {
    let mut rng = stream(1, purpose, 0, 0);
    (0..len).map(|_| T::from_f64(normal(&mut rng))).collect()
}

impl<T: Real> Bench<T> {
    pub fn tape(&mut self, mode: NormMode) -> Tape<T> {
        let mut tape = Tape::default();
        self.forward(mode, &mut tape);
        tape
    }

    pub fn forward(&mut self, mode: NormMode, tape: &mut Tape<T>) {
        let Self { network, params, running, images, n } = self;
        network.forward(params, running, images, *n, mode, tape).expect("sizes fit");
    }

    /// Features at `params + step·direction`.
    pub fn features_at(&mut self, mode: NormMode, direction: &[T], step: f64) -> Vec<T> {
        let moved: Vec<T> = self.params.iter().zip(direction).map(|(&w, &v)| w + T::from_f64(step) * v).collect();
        let mut tape = Tape::default();
        let Self { network, running, images, n, .. } = self;
        network.forward(&moved, running, images, *n, mode, &mut tape).expect("sizes fit");
        tape.features().to_vec()
    }

    pub fn gradient(&mut self, tape: &Tape<T>, cotangent: &[T]) -> Vec<T> {
        let mut gradient = vec![T::from_f64(f64::NAN); self.params.len()];
        self.network.backward(&self.params, tape, cotangent, &mut gradient).expect("sizes fit");
        gradient
    }

    pub fn jvp(&mut self, tape: &Tape<T>, direction: &[T]) -> Vec<T> {
        let mut out = vec![T::from_f64(f64::NAN); tape.features().len()];
        self.network.jvp(&self.params, tape, direction, &mut out).expect("sizes fit");
        out
    }
}

pub fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

/// ‖a − b‖ / ‖b‖
pub fn relative_error<T: Real>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2)).sum();
    (difference / dot(b, b)).sqrt()
}

/// The bits of every number, so that equal means equal.
pub fn bits<T: Real>(values: &[T]) -> Vec<u64> {
    values.iter().map(|v| v.to_f64().to_bits()).collect()
}

/// A name for messages.
pub fn describe(architecture: &Architecture, mode: NormMode) -> String {
    format!("{architecture} in {mode:?}")
}
