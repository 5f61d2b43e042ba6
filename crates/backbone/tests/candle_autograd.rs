//! The network as a node of candle's graph: candle's gradient through head and loss is the engine's, in any layout.

mod common;

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Result, Tensor, Var, WithDType};
use candle_nn::ops::log_softmax;
use common::{Bench, bench, bits};
use longtail_backbone::{Network, NetworkOp, NormMode};
use longtail_ops::Real;

const TRACK: NormMode = NormMode::Batch { track: true };
const CLASSES: usize = 5;

type Shared<T> = (Arc<Mutex<Network<T>>>, Arc<Mutex<Vec<T>>>);

fn shared<T: Real>(bench: &Bench<T>) -> Shared<T> {
    let network = Network::new(bench.network.architecture(), bench.network.image()).expect("as before");
    (Arc::new(Mutex::new(network)), Arc::new(Mutex::new(bench.running.clone())))
}

fn tensors<T: Real + WithDType>(bench: &Bench<T>) -> Result<(Tensor, Var)> {
    let image = bench.network.image();
    let images = Tensor::from_slice(&bench.images, (bench.n, image.height, image.width, image.channels), &Device::Cpu)?;
    Ok((images, Var::from_slice(&bench.params, bench.params.len(), &Device::Cpu)?))
}

/// A linear head and cross-entropy, from candle's operations.
fn loss(features: &Tensor) -> Result<Tensor> {
    let (n, dim) = features.dims2()?;
    let weight = Tensor::arange(0f64, (dim * CLASSES) as f64, &Device::Cpu)?.sin()?.reshape((dim, CLASSES))?;
    let one_hot: Vec<f64> =
        (0..n * CLASSES).map(|i| f64::from(u8::from(i % CLASSES == i / CLASSES % CLASSES))).collect();
    let one_hot = Tensor::from_vec(one_hot, (n, CLASSES), &Device::Cpu)?.to_dtype(features.dtype())?;
    let logits = features.matmul(&weight.to_dtype(features.dtype())?)?;
    (log_softmax(&logits, 1)? * one_hot)?.sum_all()?.neg()? / n as f64
}

fn gradient_through_candle_is_the_engines<T: Real + WithDType>() -> Result<()> {
    for mode in [TRACK, NormMode::Running] {
        let mut bench = bench::<T>("resnet14_two_headed", (6, 5, 3), 4);
        let (network, running) = shared(&bench);
        let (images, params) = tensors(&bench)?;
        let op = NetworkOp::new(network, running.clone(), mode);
        let candle = loss(&op.apply(&images, &params)?)?.backward()?;
        let through_candle = candle.get(&params).expect("a gradient").to_vec1::<T>()?;

        let tape = bench.tape(mode);
        let features = Var::from_slice(tape.features(), (bench.n, 128), &Device::Cpu)?;
        let cotangent =
            loss(&features)?.backward()?.get(&features).expect("a gradient").flatten_all()?.to_vec1::<T>()?;
        assert_eq!(bits(&through_candle), bits(&bench.gradient(&tape, &cotangent)), "{mode:?}");
        assert!(through_candle.iter().any(|&g| g != T::ZERO));
        assert_eq!(bits(&running.lock().expect("no panic"),), bits(&bench.running), "{mode:?}");
    }
    Ok(())
}

#[test]
fn gradient_through_candle_is_the_engines_in_both_widths() -> Result<()> {
    gradient_through_candle_is_the_engines::<f32>()?;
    gradient_through_candle_is_the_engines::<f64>()
}

#[test]
fn every_layout_is_read_right() -> Result<()> {
    let bench = bench::<f32>("resnet8", (6, 5, 3), 4);
    let (network, running) = shared(&bench);
    let (images, params) = tensors(&bench)?;
    let apply = |images: &Tensor, params: &Tensor| -> Result<Vec<f32>> {
        let op = NetworkOp::new(network.clone(), running.clone(), NormMode::Running);
        op.apply(images, params)?.flatten_all()?.to_vec1()
    };
    let expected = apply(&images, &params)?;
    // Channels first in memory, seen as channels last; a batch inside a larger one; parameters inside a longer vector, and strided.
    let channels_first = images.permute((0, 3, 1, 2))?.contiguous()?.permute((0, 2, 3, 1))?;
    assert!(!channels_first.is_contiguous());
    let inside = Tensor::cat(&[&images, &images], 0)?.narrow(0, 4, 4)?;
    let longer =
        Tensor::cat(&[params.as_tensor(), params.as_tensor()], 0)?.narrow(0, bench.params.len(), bench.params.len())?;
    let strided = Tensor::stack(&[params.as_tensor(), params.as_tensor()], 1)?.narrow(1, 1, 1)?.squeeze(1)?;
    assert!(!strided.is_contiguous());
    for (images, params) in [(&channels_first, params.as_tensor()), (&inside, &longer), (&images, &strided)] {
        assert_eq!(bits(&apply(images, params)?), bits(&expected));
    }
    Ok(())
}

#[test]
fn parameters_may_be_the_result_of_other_operations_and_serve_twice() -> Result<()> {
    let mut bench = bench::<f64>("resnet8", (5, 5, 1), 2);
    let (network, running) = shared(&bench);
    let (images, params) = tensors(&bench)?;
    let moved = (params.as_tensor() * 1.5)?;
    let mode = NormMode::Batch { track: false };
    let pass = || NetworkOp::new(network.clone(), running.clone(), mode).apply(&images, &moved);
    let total = (loss(&pass()?)? + (loss(&pass()?)? * 2.0)?)?;
    let gradient = total.backward()?.get(&params).expect("a gradient").to_vec1::<f64>()?;

    bench.params.iter_mut().for_each(|w| *w *= 1.5);
    let tape = bench.tape(mode);
    let features = Var::from_slice(tape.features(), (2, 64), &Device::Cpu)?;
    let cotangent = loss(&features)?.backward()?.get(&features).expect("a gradient").flatten_all()?.to_vec1::<f64>()?;
    let expected: Vec<f64> = bench.gradient(&tape, &cotangent).iter().map(|g| 3.0 * 1.5 * g).collect();
    assert!(common::relative_error(&gradient, &expected) < 1e-14);
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_in_words() -> Result<()> {
    let bench = bench::<f32>("resnet8", (6, 5, 3), 4);
    let (network, running) = shared(&bench);
    let (images, params) = tensors(&bench)?;
    let apply = |images: &Tensor, params: &Tensor| {
        NetworkOp::new(network.clone(), running.clone(), TRACK).apply(images, params)
    };
    let refused = |result: Result<Tensor>| result.expect_err("refused").to_string();

    let message = refused(apply(&images.permute((0, 3, 1, 2))?, &params));
    assert!(message.contains("(N, 6, 5, 3), channels last, got [4, 3, 6, 5]"), "{message}");
    assert!(refused(apply(&images, &params.narrow(0, 1, 10)?)).contains("`params` has 10 elements"));
    assert!(refused(apply(&images, &params.unsqueeze(0)?)).contains("one flat vector"));
    assert!(refused(apply(&images.to_dtype(DType::F64)?, &params)).contains("F32"));

    let images = Var::from_tensor(&images)?;
    let message = loss(&apply(&images, &params)?)?.backward().expect_err("refused").to_string();
    assert!(message.contains("no gradient for images"), "{message}");
    Ok(())
}

#[test]
fn frozen_parameters_get_no_gradient_and_cost_no_backward() -> Result<()> {
    let bench = bench::<f32>("resnet8", (6, 5, 3), 4);
    let (network, running) = shared(&bench);
    let (images, params) = tensors(&bench)?;
    let features = NetworkOp::new(network, running, NormMode::Running).apply(&images, &params.as_detached_tensor())?;
    let scale = Var::new(2f32, &Device::Cpu)?;
    let store = loss(&features.broadcast_mul(&scale)?)?.backward()?;
    assert!(store.get(&scale).is_some() && store.get(&params).is_none());
    Ok(())
}
