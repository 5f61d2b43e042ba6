//! Normals by counter on a GPU against the CPU's, to the bit: on an emulated device, and on a real one where there is one.

use std::path::Path;

use longtail_ops::gpu::{Driver, Emulated, GpuVec, NormalStreams, gpu_philox_normals};
use longtail_ops::philox_normals;

fn check<D: Driver>(driver: &D) {
    let key = [0x1234_5678, 0xfedc_ba98];
    let device = |streams: NormalStreams<'_>, offset, len| {
        let mut out = GpuVec::<f32, D>::zeros(driver, len).expect("room");
        gpu_philox_normals(driver, key, streams, offset, out.view_mut()).expect("runs");
        bits(&out.to_vec(driver).expect("comes back"))
    };
    let host = |stream, offset, len| {
        let mut out = vec![0f32; len];
        philox_normals(key, stream, offset, &mut out);
        bits(&out)
    };
    // More than the threads of a device that is emulated; odd beginnings and ends; counters beyond 32 bits.
    for (stream, offset, len) in [
        (0, 0, 200_001),
        (7, 1, 1),
        (7, 3, 2),
        (1 << 40 | 3, 6, 1000),
        (u64::MAX, (1 << 34) - 6, 37),
        (5, u64::MAX - 40, 37),
    ] {
        assert_eq!(device(NormalStreams::One(stream), offset, len), host(stream, offset, len), "{stream} {offset}");
    }
    let streams = [4u32, 0, u32::MAX, 4, 1 << 31];
    let on_device = GpuVec::of(driver, &streams.map(u32::cast_signed)).expect("room");
    let rows: Vec<u32> = streams.iter().flat_map(|stream| host(u64::from(*stream), 9, 67)).collect();
    assert_eq!(device(NormalStreams::Each(on_device.view()), 9, 5 * 67), rows);
    assert!(device(NormalStreams::One(0), 0, 0).is_empty());
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn normals_are_the_cpus_to_the_bit() {
    match Emulated::compile(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => check(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}

#[cfg(feature = "cuda")]
#[test]
fn normals_of_a_real_gpu_are_the_cpus_to_the_bit() {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    match Cuda::open(0, CudaSettings { tf32: false }) {
        Ok(driver) => check(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}
