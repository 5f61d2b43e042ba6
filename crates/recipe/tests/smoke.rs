use longtail_recipe::read_str;
const OK: &str = "data: {dataset: cifar100}\nrepresentations:\n  ce: {method: {ce: {}}, epochs: 3}\n  mpcl: {method: {mpcl: {lambda: 0.5}}, head: {cosine: 8}, schedule: {step: {milestones: [2]}}, epochs: 4}\nclassifiers:\n  joint:\n  crt:\n  a: {mpfa: {preset: paper_literal}}\n";
#[test]
fn smoke() {
    let r = read_str(OK, "x.yaml", &[]).unwrap();
    let y = r.to_yaml();
    println!("{y}");
    let again = read_str(&y, "x.yaml", &[]).unwrap();
    assert_eq!(r, again);
    for bad in [
        OK.replace("epochs: 3", "epochs: ninety"), OK.replace("epochs: 3", "epoch: 3"), OK.replace("epochs: 3", "epochs: -3"), OK.replace("epochs: 3", "epochs: 0"),
        OK.replace("lambda: 0.5", "lambda: -0.5"), OK.replace("lambda", "lamda"), OK.replace("mpcl: {lambda: 0.5}", "mpc: {}"), OK.replace("{ce: {}}", "ce"), OK.replace("  crt:\n", "  crt:\n  crt:\n"),
        OK.replace("epochs: 3", "epochs: 3, epochs: 4"), OK.replace("cosine: 8", "cosine: x"), OK.replace("{cosine: 8}", "lin"), OK.replace("{cosine: 8}", "[1]"), OK.replace("  crt:\n", "  crt: [1]\n"), OK.replace("joint:\n", "mine:\n"),
        OK.replace("data:", "data: ["), OK.replace("  crt:", "\tcrt:"), format!("{OK}rows: 3\n"), format!("{OK}rows:\n - {{representation: ce, classifier: cr}}\n"),format!("{OK}rows:\n - {{representation: ce, classifier: crt, expected: {{all: [1]}}}}\n"), "a".into(), "".into(), "[]".into(), "- a\n".into(), "a: b: c".into(), "---\na: 1\n---\nb: 1\n".into(), OK.replace("mpcl: {lambda: 0.5}", "mpcl: {meta_network: 3}"), OK.replace("mpcl: {lambda: 0.5}", "mpcl: {}, ce: {}"), OK.replace("{mpcl: {lambda: 0.5}}", "{}")
    ] {
        println!("=====\n{}", read_str(&bad, "x.yaml", &[]).unwrap_err());
    }
    for (p, v) in [("representations.ce.epochs", "0"), ("representations.cee.epochs", "0"), ("representations.ce.epoch", "1"), ("representations.ce.epochs", "x"), ("representations.ce.method.mpcl.tau", "1"), ("representations.mpcl.method.mpcl.tu", "1"), ("classifiers.crt.training.lr", "1"), ("classifiers.crt.crt.training.lr", "[1"), ("rows.0.note", "x"), ("data.dataset.x", "1"), ("classifiers.crt.crt.training.lr", "1000"), ("", "1"), ("sed", "3")] {
        println!("=====\n{}", read_str(OK, "x.yaml", &[(p.into(), v.into())]).unwrap_err());
    }
}
