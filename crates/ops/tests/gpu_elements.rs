//! Activations in bfloat16 on a device: rounding, and each kernel against itself in `f32`.

use half::bf16;
use longtail_ops::gpu::{
    Activation, Driver, Emulated, GpuError, GpuNorm, GpuVec, NormNumbers, gpu_add, gpu_narrow, gpu_norm_apply,
    gpu_norm_products, gpu_norm_statistics, gpu_norm_through, gpu_widen,
};
use longtail_ops::{BatchNormShape, normal, stream};

fn emulated() -> Option<Emulated> {
    Emulated::compile(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))).map_err(|why| println!("skipped: {why}")).ok()
}

/// Normals that bfloat16 holds exactly, so that only results are rounded.
fn exact_normals(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = stream(seed, "gpu elements", 0, 0);
    (0..len).map(|_| bf16::from_f64(normal(&mut rng)).to_f32()).collect()
}

fn rounding<D: Driver>(driver: &D) -> Result<(), GpuError> {
    let mut bits: Vec<u32> = (0..1u32 << 16).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    // Halfway to an even and to an odd one, on both sides of it, and beyond the largest.
    bits.extend([
        0x3f80_8000,
        0x3f81_8000,
        0x3f80_7fff,
        0x3f80_8001,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7f80_0001,
        0xff80_0000,
    ]);
    bits.extend([0, 0x8000_0000, 1, 0x7fff_ffff]);
    let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
    let x = GpuVec::of(driver, &values)?;
    let (mut narrow, mut wide) = (GpuVec::zeros(driver, values.len())?, GpuVec::zeros(driver, values.len())?);
    gpu_narrow(driver, x.view(), narrow.view_mut())?;
    gpu_widen(driver, narrow.view(), wide.view_mut())?;
    for ((value, found), back) in values.iter().zip(narrow.to_vec(driver)?).zip(wide.to_vec(driver)?) {
        let expected = bf16::from_f32(*value);
        assert!(found == expected || (value.is_nan() && found.is_nan()), "{value:e}: {found}, not {expected}");
        assert!(back == expected.to_f32() || back.is_nan(), "{value:e}");
    }
    Ok(())
}

/// What the kernels make of the same numbers in `A`.
fn made<D: Driver, A: Activation>(driver: &D, s: &BatchNormShape) -> Result<Vec<Vec<f32>>, GpuError> {
    let (len, channels) = (s.rows * s.channels, s.channels);
    let activation = |seed| {
        let values: Vec<A> = exact_normals(seed, len).into_iter().map(A::of).collect();
        GpuVec::of(driver, &values)
    };
    let vector = |seed| GpuVec::of(driver, &exact_normals(seed, channels));
    let (x, residual, y, mut dy) = (activation(1)?, activation(2)?, activation(3)?, activation(4)?);
    let (gamma, beta, slope, offset) = (vector(5)?, vector(6)?, vector(7)?, vector(8)?);
    let mut room = GpuNorm::default();
    let zeros = || GpuVec::<f32, D>::zeros(driver, channels);
    let (mut mean, mut inv_std, mut scale, mut shift) = (zeros()?, zeros()?, zeros()?, zeros()?);
    let numbers = NormNumbers {
        mean: mean.view_mut(),
        inv_std: inv_std.view_mut(),
        scale: scale.view_mut(),
        shift: shift.view_mut(),
    };
    gpu_norm_statistics(driver, &mut room, s, x.view(), (gamma.view(), beta.view()), 1e-5, None, numbers)?;
    let values = |vec: &GpuVec<A, D>| Ok(vec.to_vec(driver)?.into_iter().map(Activation::value).collect::<Vec<f32>>());
    let mut results = vec![mean.to_vec(driver)?, inv_std.to_vec(driver)?];
    let mut out = GpuVec::<A, D>::zeros(driver, len)?;
    for (residual, relu) in [(None, false), (Some(residual.view()), true)] {
        gpu_norm_apply(driver, x.view(), (scale.view(), shift.view()), residual, relu, out.view_mut())?;
        results.push(values(&out)?);
    }
    for (residual, y) in [(None, None), (Some(residual.view()), Some(y.view()))] {
        let rest = [scale.view(), slope.view(), mean.view(), offset.view()];
        gpu_norm_through(driver, (dy.view(), x.view()), rest, residual, y, out.view_mut())?;
        results.push(values(&out)?);
    }
    gpu_norm_products(driver, &mut room, s, dy.view_mut(), Some(y.view()), x.view(), mean.view())?;
    results.push(values(&dy)?);
    gpu_add(driver, dy.view_mut(), x.view())?;
    results.push(values(&dy)?);
    Ok(results)
}

fn elements<D: Driver>(driver: &D) -> Result<(), GpuError> {
    // Channels in packs of both sorts, of f32 alone, and of neither; one more than a block's threads.
    for (rows, channels) in [(37, 16), (9, 12), (11, 7), (5, 2056), (3, 515)] {
        let s = BatchNormShape { rows, channels };
        let (in_f32, in_bf16) = (made::<D, f32>(driver, &s)?, made::<D, bf16>(driver, &s)?);
        for (which, (exact, found)) in in_f32.iter().zip(&in_bf16).enumerate() {
            for (exact, found) in exact.iter().zip(found) {
                let step = exact.abs() / 256.0 + 1e-30;
                assert!((exact - found).abs() <= step, "result {which} of {rows} x {channels}: {found}, not {exact}");
            }
        }
    }
    Ok(())
}

#[test]
fn rounding_is_to_the_nearest_even() {
    let Some(driver) = emulated() else { return };
    rounding(&driver).expect("runs");
}

#[test]
fn kernels_in_bfloat16_are_those_in_f32_rounded() {
    let Some(driver) = emulated() else { return };
    elements(&driver).expect("runs");
}

#[cfg(feature = "cuda")]
#[test]
fn on_a_real_gpu() {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    match Cuda::open(0, CudaSettings { tf32: false }) {
        Ok(driver) => {
            rounding(&driver).expect("runs");
            elements(&driver).expect("runs");
        }
        Err(why) => println!("skipped: {why}"),
    }
}
