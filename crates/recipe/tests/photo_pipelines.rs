//! The recipes of ImageNet-LT and iNaturalist 2018 hold what the paper states for its Tables 2, 3 and 5 and its Figure 4, and
//! what protocol.md §2, §3, §7 and §9 and mpcl_mpfa.md §5 fill in.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

use std::path::PathBuf;

use longtail_recipe::*;

fn pipeline(name: &str) -> Recipe {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../pipelines/{name}.yaml"));
    read(&file, &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// Stage 1 but for its method: every variant of a recipe trains alike.
fn check_stage1(recipe: &Recipe, backbone: Backbone, epochs: usize, weight_decay: f64) {
    for (name, stage1) in &recipe.representations {
        let what = format!("{} of {}", name, recipe.recipe);
        assert_eq!((stage1.backbone, stage1.epochs), (backbone, epochs), "{what}");
        assert_eq!((stage1.batch_size, stage1.lr_batch_size, stage1.micro_batch), (512, 512, 0), "{what}");
        assert_eq!((stage1.lr, stage1.momentum, stage1.nesterov), (0.2, 0.9, false), "{what}");
        assert_eq!((stage1.weight_decay, stage1.wd_groups), (weight_decay, WdGroups::All), "{what}");
        assert_eq!((&stage1.schedule, stage1.warmup_epochs), (&Schedule::Cosine, 0), "{what}");
        // ⌊N / batch⌋ steps, as CB: 226 of ImageNet-LT's 115846 images.
        assert!(stage1.drop_last, "{what}");
        assert_eq!(stage1.augmentation, Augmentation::RandomResizedCropJitter, "{what}");
        assert_eq!(
            (stage1.head, stage1.loss.clone(), stage1.sampler),
            (HeadKind::Linear, Stage1Loss::Ce, Sampler::InstanceBalanced)
        );
        assert_eq!(stage1.label_smoothing, 0.0, "{what}");
        if let RepresentationMethod::Mpcl(mpcl) = &stage1.method {
            assert_eq!((mpcl.tau, mpcl.ema.momentum), (0.07, EmaMomentum::Fixed(0.999)), "{what}");
            assert_eq!((mpcl.prototypes, mpcl.t_th(epochs)), (Prototypes::Meta, epochs / 5), "{what}");
            // MetaSAug's meta set under the evaluation transform, in batches as large as the training's.
            assert_eq!((mpcl.meta_aug, mpcl.meta_batch, mpcl.meta_every), (MetaAug::None, 0, 1), "{what}");
        }
    }
}

fn lambda(recipe: &Recipe, variant: &str) -> f64 {
    match &recipe.representations[variant].method {
        RepresentationMethod::Mpcl(mpcl) => mpcl.lambda,
        other => panic!("{variant} is {other:?}"),
    }
}

fn mpfa<'a>(recipe: &'a Recipe, classifier: &str) -> &'a MpfaRecipe {
    match &recipe.classifiers[classifier] {
        ClassifierRecipe::Mpfa(mpfa) => mpfa,
        other => panic!("{classifier} is {other:?}"),
    }
}

fn paper(recipe: &Recipe, representation: &str, classifier: &str) -> [f64; 4] {
    let is_it = |row: &&Row| row.representation == representation && row.classifier == classifier;
    let paper = recipe.rows.iter().find(is_it).and_then(|row| row.paper).expect("a row of the paper");
    [paper.many, paper.medium, paper.few, paper.all].map(Option::unwrap)
}

fn same_training(a: &HeadTraining, epochs: usize, batch_size: usize, lr: f64, schedule: Schedule) {
    assert_eq!((a.epochs, a.batch_size, a.lr, &a.schedule), (epochs, batch_size, lr, &schedule));
}

#[test]
fn tables_2_and_5_at_both_schedules() {
    for (name, epochs) in [("imagenet-lt", 90), ("imagenet-lt-200", 200)] {
        let recipe = pipeline(name);
        check_stage1(&recipe, Backbone::Resnext50, epochs, 5e-4);
        assert_eq!((recipe.data.meta_source, recipe.data.meta_per_class), (MetaSource::Metasaug, 10));
        assert_eq!(recipe.data.normalize.mean, [0.485, 0.456, 0.406]);
        let photo = recipe.data.photo.as_ref().expect("photographs");
        assert_eq!((photo.image_side, photo.resize_short), (224, 256));
        assert_eq!(lambda(&recipe, "mpcl"), 0.5);
        let (ClassifierRecipe::Crt(crt), ClassifierRecipe::Lws(lws), ClassifierRecipe::TailcalibX(tailcalib)) =
            (&recipe.classifiers["crt"], &recipe.classifiers["lws"], &recipe.classifiers["tailcalib_x"])
        else {
            panic!("other methods under these names");
        };
        same_training(&crt.training, 10, 512, 0.2, Schedule::Cosine);
        same_training(&lws.training, 5, 512, 0.2, Schedule::Cosine);
        assert_eq!([crt.training.weight_decay, lws.training.weight_decay], [5e-4; 2]);
        assert_eq!([crt.sampler, lws.sampler], [Sampler::ClassBalanced; 2]);
        // TailCalib's numbers for mini-ImageNet-LT.
        assert_eq!((tailcalib.tukey, tailcalib.alpha, tailcalib.neighbors), (1.0, 0.0, 3));
        assert_eq!(tailcalib.training.momentum, 0.7);
        same_training(&tailcalib.training, 30, 512, 0.01, Schedule::Constant);
        let mpfa = mpfa(&recipe, "mpfa");
        assert_eq!((mpfa.alpha, mpfa.beta, mpfa.neighbors, mpfa.tukey), (Alpha::Fixed(0.4), 0.05, 3, 0.9));
        same_training(&mpfa.training, 30, 512, 0.01, Schedule::Constant);
    }
    let (short, long) = (pipeline("imagenet-lt"), pipeline("imagenet-lt-200"));
    assert_eq!(paper(&short, "ce", "joint"), [66.5, 39.0, 8.6, 45.5]);
    assert_eq!(paper(&short, "ce", "crt"), [62.4, 39.3, 14.9, 44.9]);
    assert_eq!(paper(&short, "mpcl", "crt"), [64.6, 50.1, 27.5, 52.7]);
    assert_eq!(paper(&short, "mpcl", "tailcalib_x"), [63.7, 51.2, 31.0, 53.2]);
    assert_eq!(paper(&short, "mpcl", "mpfa"), [64.3, 51.6, 31.8, 53.8]);
    assert_eq!(paper(&long, "ce", "joint"), [66.9, 40.4, 12.6, 46.8]);
    assert_eq!(paper(&long, "ce", "crt"), [60.9, 36.9, 13.5, 43.0]);
    assert_eq!(paper(&long, "mpcl", "mpfa"), [66.3, 52.8, 35.2, 55.1]);
}

#[test]
fn table_3() {
    let recipe = pipeline("inaturalist2018");
    check_stage1(&recipe, Backbone::Resnet50, 200, 1e-4);
    assert_eq!((recipe.data.meta_source, recipe.data.meta_per_class), (MetaSource::Metasaug, 2));
    assert_eq!(
        (recipe.data.normalize.mean.as_slice(), recipe.data.normalize.std.as_slice()),
        ([0.466, 0.471, 0.380].as_slice(), [0.195, 0.194, 0.192].as_slice())
    );
    let (ClassifierRecipe::Crt(crt), ClassifierRecipe::TauNorm(tau_norm)) =
        (&recipe.classifiers["crt"], &recipe.classifiers["tau_norm"])
    else {
        panic!("other methods under these names");
    };
    same_training(&crt.training, 30, 512, 0.2, Schedule::Cosine);
    assert_eq!(crt.training.weight_decay, 1e-4);
    assert_eq!(tau_norm.taus, [1.0], "there is nothing to choose by");
    assert_eq!(mpfa(&recipe, "mpfa").alpha, Alpha::Fixed(0.4));
    assert_eq!(paper(&recipe, "ce", "joint"), [72.2, 63.0, 57.2, 61.7]);
    assert_eq!(paper(&recipe, "ce", "crt"), [65.6, 65.3, 65.5, 65.6]);
    assert_eq!(paper(&recipe, "mpcl", "mpfa"), [72.8, 71.7, 70.0, 71.0]);
}

#[test]
fn figure_4_changes_one_number_of_table_2() {
    let table = pipeline("imagenet-lt");
    let (lambdas, alphas) = (pipeline("imagenet-lt-lambda"), pipeline("imagenet-lt-alpha"));
    for recipe in [&lambdas, &alphas] {
        check_stage1(recipe, Backbone::Resnext50, 90, 5e-4);
        assert_eq!(recipe.data, table.data);
    }
    for (variant, value) in
        [("lambda_0.1", 0.1), ("lambda_0.3", 0.3), ("lambda_0.5", 0.5), ("lambda_0.7", 0.7), ("lambda_0.9", 0.9)]
    {
        assert_eq!(lambda(&lambdas, variant), value);
    }
    assert_eq!(lambdas.representations.len(), 5);
    assert_eq!(lambdas.representations["lambda_0.5"], table.representations["mpcl"]);
    assert_eq!(alphas.representations["mpcl"], table.representations["mpcl"], "the header copies it from there");
    assert_eq!(lambdas.classifiers["mpfa"], table.classifiers["mpfa"]);
    assert_eq!(alphas.classifiers["alpha_0.4"], table.classifiers["mpfa"]);
    for value in [0.2, 0.4, 0.6, 0.8, 1.0] {
        assert_eq!(mpfa(&alphas, &format!("alpha_{value:.1}")).alpha, Alpha::Fixed(value));
    }
    assert_eq!(alphas.classifiers.len(), 5);
    for (recipe, representation, classifier) in [(&lambdas, "lambda_0.5", "mpfa"), (&alphas, "mpcl", "alpha_0.4")] {
        assert_eq!(paper(recipe, representation, classifier), [64.3, 51.6, 31.8, 53.8]);
    }
}
