//! Named tensors, there and strictly back.

mod common;

use common::{bench, bits};
use longtail_backbone::{from_tensors, to_tensors};

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn refused(change: impl FnOnce(&mut Tensors)) -> String {
    let bench = bench::<f32>("resnet8", (4, 4, 1), 1);
    let mut tensors = to_tensors(&bench.network, &bench.params, &bench.running);
    change(&mut tensors);
    from_tensors(&bench.network, &tensors).expect_err("refused").to_string()
}

#[test]
fn all_of_it_comes_back_in_any_order() {
    let bench = bench::<f32>("resnet14_two_headed", (4, 4, 3), 1);
    let mut tensors = to_tensors(&bench.network, &bench.params, &bench.running);
    assert_eq!((tensors[0].0.as_str(), tensors[0].1.as_slice()), ("conv1.weight", [16, 3, 3, 3].as_slice()));
    assert_eq!(tensors.last().expect("some").0, "rb_block.bn2.running_var");
    tensors.reverse();
    let (params, running) = from_tensors(&bench.network, &tensors).expect("what was written");
    assert_eq!((bits(&params), bits(&running)), (bits(&bench.params), bits(&bench.running)));
}

#[test]
fn everything_else_is_refused_in_words() {
    assert_eq!(refused(|t| drop(t.remove(0))), "tensor `conv1.weight` [16, 1, 3, 3] of resnet8 is missing");
    assert_eq!(refused(|t| t[0].0 = "conv0.weight".into()), "tensor `conv0.weight` does not belong to resnet8");
    assert_eq!(refused(|t| t.push(t[1].clone())), "tensor `bn1.weight` is there twice");
    assert_eq!(refused(|t| t[0].1 = vec![16, 3, 3, 1]), "tensor `conv1.weight` has shape [16, 3, 3, 1], resnet8 needs [16, 1, 3, 3]");
    assert!(refused(|t| t[1].2.truncate(3)).contains("`bn1.weight` has shape"));
    assert_eq!(refused(|t| t[1].2[5] = f32::NAN), "tensor `bn1.weight` holds NaN at index 5; every value must be finite");
    let negative = refused(|t| t.last_mut().expect("some").2[2] = -0.5);
    assert_eq!(negative, "tensor `layer3.0.bn2.running_var` holds -0.5 at index 2; a variance cannot be negative");
}
