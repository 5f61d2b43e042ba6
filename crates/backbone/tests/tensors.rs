//! A network over candle tensors gives the engine's bits, in both element types, on views as on whole tensors.

mod common;

use candle_core::{DType, Device, Result, Tensor, Var};
use common::{BOTH_MODES, Bench, bench, bits, noise};
use longtail_backbone::host::{HostElement, to_vec};
use longtail_backbone::{NormMode, Tape, TensorNetwork};
use longtail_ops::gpu::Element;

struct Tensors {
    network: TensorNetwork,
    params: Tensor,
    running: Tensor,
    images: Tensor,
}

/// The bench's vectors as tensors; the parameters are a view into a longer vector, as a backbone's are beside a head's.
fn tensors<T: HostElement>(bench: &Bench<T>) -> Result<Tensors> {
    let (image, len) = (bench.network.image(), bench.params.len());
    let with_head: Vec<T> = bench.params.iter().copied().chain([T::ONE; 3]).collect();
    let shape = (bench.n, image.height, image.width, image.channels);
    Ok(Tensors {
        network: TensorNetwork::new(bench.network.architecture(), image, T::DTYPE).expect("as before"),
        params: Tensor::from_vec(with_head, len + 3, &Device::Cpu)?.narrow(0, 0, len)?,
        running: Tensor::from_slice(&bench.running, bench.running.len(), &Device::Cpu)?,
        images: Tensor::from_slice(&bench.images, shape, &Device::Cpu)?,
    })
}

fn every_pass_is_the_engines<T: HostElement>() -> Result<()> {
    for mode in BOTH_MODES.into_iter().chain([NormMode::Batch { track: true }]) {
        let mut bench = bench::<T>("resnet14_two_headed", (6, 5, 3), 4);
        let mut by_tensors = tensors(&bench)?;
        let Tensors { network, params, running, images } = &mut by_tensors;

        let mut tape = network.tape();
        let features = network.forward(params, running, images, mode, &mut tape).expect("sizes fit");
        let mut engine = Tape::default();
        bench
            .network
            .forward(&bench.params, &mut bench.running, &bench.images, bench.n, mode, &mut engine)
            .expect("sizes fit");
        assert_eq!(bits(&to_vec::<T>(&features)?), bits(engine.features()), "{mode:?}");
        assert_eq!(bits(&to_vec::<T>(running)?), bits(&bench.running), "{mode:?}");
        assert_eq!(tape.bytes(), engine.memory_bytes());

        let cotangent = noise::<T>("test/cotangent", bench.n * 128);
        let whole = Tensor::zeros(bench.params.len() + 3, T::DTYPE, &Device::Cpu)?;
        let gradient = whole.narrow(0, 0, bench.params.len())?;
        let rows = Tensor::from_slice(&cotangent, (bench.n, 128), &Device::Cpu)?;
        network.backward(params, &tape, &rows, &gradient).expect("sizes fit");
        let mut expected = vec![T::ZERO; bench.params.len()];
        bench.network.backward(&bench.params, &engine, &cotangent, &mut expected).expect("sizes fit");
        assert_eq!(bits(&to_vec::<T>(&gradient)?), bits(&expected), "{mode:?}");
        assert!(to_vec::<T>(&whole)?[bench.params.len()..].iter().all(|&beside| beside == T::ZERO));

        let direction = noise::<T>("test/direction", bench.params.len());
        let along = network.jvp(params, &tape, &Tensor::from_slice(&direction, direction.len(), &Device::Cpu)?);
        let mut expected = vec![T::ZERO; bench.n * 128];
        bench.network.jvp(&bench.params, &engine, &direction, &mut expected).expect("sizes fit");
        assert_eq!(bits(&to_vec::<T>(&along.expect("sizes fit"))?), bits(&expected), "{mode:?}");

        let inferred = network.infer(params, running, images).expect("sizes fit");
        bench.network.infer(&bench.params, &bench.running, &bench.images, bench.n, &mut expected).expect("sizes fit");
        assert_eq!(bits(&to_vec::<T>(&inferred)?), bits(&expected), "{mode:?}");
    }
    Ok(())
}

#[test]
fn every_pass_is_the_engines_in_f32() -> Result<()> {
    every_pass_is_the_engines::<f32>()
}

#[test]
fn every_pass_is_the_engines_in_f64() -> Result<()> {
    every_pass_is_the_engines::<f64>()
}

#[test]
fn a_fresh_network_is_the_engines() -> Result<()> {
    let bench = bench::<f32>("resnet14", (6, 5, 3), 2);
    let network = tensors(&bench)?.network;
    let rng = || longtail_ops::stream(5, "test/weights", 0, 0);
    let ((params, running), (expected, expected_running)) =
        (network.init(&mut rng()).expect("memory"), bench.network.init(&mut rng()));
    assert_eq!((to_vec::<f32>(&params)?, to_vec::<f32>(&running)?), (expected, expected_running));
    assert_eq!(
        network.named(&params, &running).expect("f32").len(),
        bench.network.params().entries().len() + bench.network.buffers().entries().len()
    );
    Ok(())
}

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() -> Result<()> {
    let bench = bench::<f32>("resnet8", (6, 5, 3), 2);
    let Tensors { mut network, params, running, images } = tensors(&bench)?;
    let before = to_vec::<f32>(&running)?;
    let (mode, mut tape) = (NormMode::Batch { track: true }, network.tape());
    let short = params.narrow(0, 1, 5)?;
    assert!(network.forward(&short, &running, &images, mode, &mut tape).is_err());
    assert!(network.forward(&params, &running, &images.to_dtype(DType::F64)?, mode, &mut tape).is_err());
    assert!(network.forward(&params, &running, &images.permute((0, 3, 1, 2))?, mode, &mut tape).is_err());
    let mut other = TensorNetwork::new(network.architecture(), network.image(), DType::F64).expect("as before");
    let error = other.jvp(&params, &tape, &params).expect_err("a tape of f32").to_string();
    assert!(error.contains("f32") && error.contains("f64"), "{error}");
    assert!(TensorNetwork::new(network.architecture(), network.image(), DType::U8).is_err());
    assert_eq!(to_vec::<f32>(&running)?, before);
    // Variables are tensors too.
    let params = Var::from_tensor(&params)?;
    network.forward(&params, &running, &images, mode, &mut tape).expect("sizes fit");
    Ok(())
}

#[test]
fn on_the_cpu_vectors_lie_as_in_files() -> Result<()> {
    let bench = bench::<f32>("resnet8", (6, 5, 3), 2);
    let Tensors { network, params, running, images } = tensors(&bench)?;
    let here = |tensor: &Tensor| to_vec::<f32>(tensor);
    let behind = Tensor::cat(&[&params, &params.narrow(0, 0, 3)?], 0)?; // a head behind it
    assert_eq!(here(&network.placed(&behind).expect("long enough"))?, here(&behind)?);
    assert_eq!(here(&network.in_file_order(&behind).expect("long enough"))?, here(&behind)?);
    let before = network.dtype();
    let mut network = network.on(&Device::Cpu, Element::F32).expect("it is there");
    assert_eq!(network.dtype(), before);
    network.infer(&params, &running, &images).expect("the same network");
    let error = network.on(&Device::Cpu, Element::Bf16).expect_err("f32 alone").to_string();
    assert!(error.contains("Bf16") && error.contains("Cpu"), "{error}");
    Ok(())
}
