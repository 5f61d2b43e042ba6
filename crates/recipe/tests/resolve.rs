//! What a recipe resolves to: sharing, presets, overrides, keys of stages; and no text makes the reader panic.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

mod common;

use common::GOOD;
use longtail_recipe::*;
use proptest::prelude::*;

fn good(overrides: &[(&str, &str)]) -> Recipe {
    let overrides: Vec<(String, String)> = overrides.iter().map(|(p, v)| (p.to_string(), v.to_string())).collect();
    read_str(GOOD, "small.yaml", &overrides).unwrap_or_else(|error| panic!("{error}"))
}

fn mpcl(recipe: &Recipe, variant: &str) -> MpclRecipe {
    match &recipe.representations[variant].method {
        RepresentationMethod::Mpcl(mpcl) => (**mpcl).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn shared_defaults_reach_every_entry_and_give_way_to_its_own() {
    let recipe = good(&[("representations.mpcl.lr", "0.3"), ("classifiers.crt.crt.training.epochs", "9")]);
    assert_eq!((recipe.representations["ce"].lr, recipe.representations["mpcl"].lr), (0.1, 0.3));
    assert_eq!(recipe.representations["ce"].warmup_epochs, 1);
    let ClassifierRecipe::Crt(crt) = &recipe.classifiers["crt"] else { panic!("crt") };
    assert_eq!((crt.training.epochs, crt.training.lr), (9, 0.2));
    let ClassifierRecipe::Mpfa(mpfa) = &recipe.classifiers["mpfa"] else { panic!("mpfa") };
    assert_eq!((mpfa.training.epochs, mpfa.training.lr), (4, 0.01));
}

#[test]
fn presets_start_from_the_letter_and_give_way_to_what_is_written() {
    let recipe = good(&[
        ("representations.mpcl.method.mpcl.preset", "paper_literal"),
        ("classifiers.mpfa.mpfa.preset", "paper_literal"),
    ]);
    let literal = mpcl(&recipe, "mpcl");
    assert!(!literal.meta_network.residual && !literal.ema_after_tth);
    assert_eq!((literal.ema.space, literal.ema.debias), (ProtoSpace::Raw, false));
    assert_eq!((literal.meta_network.optimizer, literal.meta_network.lr), (MetaOptimizer::Sgd, 1e-4));
    let ClassifierRecipe::Mpfa(mpfa) = &recipe.classifiers["mpfa"] else { panic!("mpfa") };
    assert_eq!((mpfa.weights, mpfa.alpha), (NeighborWeights::SoftmaxOverM, Alpha::Fixed(0.4)));
    assert_eq!((mpfa.count, mpfa.beta_mode, mpfa.regen), (CountRule::Ceil, BetaMode::AbsAll, Regen::Once));
    // The resolved recipe says every value itself, so that the preset may change without changing an old run.
    assert!(!recipe.to_yaml().contains("preset"));
    assert_eq!(read_str(&recipe.to_yaml(), "x", &[]).unwrap(), recipe);
}

#[test]
fn t_th_is_a_ceiling_that_rounding_does_not_lift() {
    let recipe = good(&[("representations.mpcl.method.mpcl.t_th_frac", "0.07")]);
    assert_eq!(mpcl(&recipe, "mpcl").t_th(100), 7);
    assert_eq!(mpcl(&recipe, "mpcl").t_th(101), 8);
}

#[test]
fn rows_left_out_are_every_pair() {
    let text = &GOOD[..GOOD.find("rows:").expect("rows")];
    let recipe = read_str(text, "small.yaml", &[]).unwrap();
    assert_eq!(recipe.rows.len(), 2 * 4);
    assert_eq!(recipe.used_classifiers("ce"), ["joint", "crt", "tau_norm", "mpfa"]);
}

#[test]
fn a_key_holds_what_its_stage_depends_on_and_no_more() {
    let base = good(&[]);
    let same_stage1 = |path: &str, value: &str| {
        let changed = good(&[(path, value)]);
        changed.representation_part("mpcl").unwrap() == base.representation_part("mpcl").unwrap()
    };
    assert!(same_stage1("rows.0.note", "hello"));
    assert!(same_stage1("data.shot_groups.many_above", "200"));
    assert!(same_stage1("representations.ce.epochs", "3"));
    assert!(same_stage1("representation_defaults.checkpoint_minutes", "3"));
    assert!(same_stage1("features.views", "3"));
    assert!(same_stage1("representation_defaults.activation_checkpointing", "true"));
    assert!(same_stage1("representation_defaults.cuda_precision", "f32"));
    assert!(!same_stage1("representation_defaults.cuda_precision", "tf32"));
    assert!(!same_stage1("representation_defaults.cuda_precision", "bf16"));
    assert!(!same_stage1("representation_defaults.micro_batch", "8"));
    assert!(!same_stage1("seed", "1"));
    assert!(!same_stage1("data.meta_seed", "1"));
    assert!(!same_stage1("representations.mpcl.method.mpcl.meta_network.lr", "1"));

    let stage2 = |recipe: &Recipe| recipe.features_part("ce").unwrap();
    assert_eq!(stage2(&base), stage2(&good(&[("seed", "1")])), "a dump without views draws nothing");
    assert_eq!(stage2(&base), stage2(&good(&[("features.batch_size", "1")])));
    assert_ne!(stage2(&base), stage2(&good(&[("features.views", "1")])));

    let stage3 = |recipe: &Recipe| recipe.classifier_part("ce", "mpfa").unwrap();
    assert_eq!(stage3(&base), stage3(&good(&[("classifiers.crt.crt.training.lr", "1")])));
    assert_ne!(stage3(&base), stage3(&good(&[("seed", "1")])));
    assert_ne!(stage3(&base), stage3(&good(&[("classifiers.mpfa.mpfa.alpha", "{search: {}}")])));
    assert!(base.classifier_part("ce", "mfpa").unwrap_err().to_string().contains("did you mean `mpfa`"));
}

#[test]
fn the_control_does_not_depend_on_the_meta_network() {
    let empirical = ("representations.mpcl.method.mpcl.prototypes", "empirical");
    let part = |recipe: Recipe| recipe.representation_part("mpcl").unwrap();
    let other = good(&[empirical, ("representations.mpcl.method.mpcl.meta_network.lr", "1")]);
    assert_eq!(part(good(&[empirical])), part(other));
}

#[test]
fn a_photo_set_brings_its_own_network_and_augmentation() {
    let text = |dataset: &str| {
        GOOD.replace("  dataset: cifar100\n  imbalance_factor: 100\n", &format!("  dataset: {dataset}\n"))
    };
    let of = |dataset: &str| {
        // One τ: iNaturalist has no validation images to choose it on.
        let tau = ("classifiers.tau_norm".to_string(), "{tau_norm: {taus: [1.0]}}".to_string());
        let recipe = read_str(&text(dataset), "small.yaml", &[tau]).unwrap_or_else(|error| panic!("{error}"));
        let again = read_str(&recipe.to_yaml(), "recipe.yaml", &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(recipe, again);
        let ce = &recipe.representations["ce"];
        (ce.backbone, ce.augmentation)
    };
    let jitter = Augmentation::RandomResizedCropJitter;
    assert_eq!(of("imagenet_lt"), (Backbone::Resnext50, jitter));
    assert_eq!(of("inaturalist2018"), (Backbone::Resnet50, jitter));
    assert_eq!(of("image_folder"), (Backbone::Resnet50, jitter));
    assert_eq!(of("cifar100"), (Backbone::CifarResnet(32), Augmentation::AutoaugmentCutout));
    let widths = [Backbone::Resnext50, Backbone::CifarResnet(32), Backbone::CifarResnetTwoHeaded(14)];
    assert_eq!(widths.map(Backbone::feature_dim), [2048, 64, 128]);
}

#[test]
fn search_spans_both_ends() {
    let recipe = good(&[("classifiers.mpfa.mpfa.alpha", "{search: {low: 0.2, high: 0.6, steps: 3}}")]);
    let ClassifierRecipe::Mpfa(mpfa) = &recipe.classifiers["mpfa"] else { panic!("mpfa") };
    let Alpha::Search(search) = mpfa.alpha else { panic!("{:?}", mpfa.alpha) };
    assert_eq!(search.candidates(), [0.2, 0.4, 0.6]);
}

/// Reading may fail, but in words, and what it accepts it accepts again.
fn never_panics(text: &str) {
    match read_str(text, "any.yaml", &[]) {
        Ok(recipe) => assert_eq!(read_str(&recipe.to_yaml(), "any.yaml", &[]).unwrap(), recipe),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn temporary(bytes: &[u8]) -> Result<Recipe, RecipeError> {
    let path = std::env::temp_dir().join(format!("longtail-recipe-bytes-{}.yaml", std::process::id()));
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    let result = read(&path, &[]);
    std::fs::remove_file(&path).expect("the file is ours");
    result
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        never_panics(&text);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(
        text in "(recipe|data|rows|representations|classifiers|[a-z]|: |\\{|\\}|\\[|\\]|\n|  |- |[0-9]|&a|\\*a|!b|'|\"|\\|){0,40}"
    ) {
        never_panics(&text);
    }

    #[test]
    fn a_truncated_recipe_is_read_or_refused(end in 0..GOOD.len()) {
        never_panics(&GOOD[..end]);
    }

    #[test]
    fn a_recipe_with_flipped_bits_is_read_or_refused(flips in prop::collection::vec((0..GOOD.len(), 0..8u32), 1..6)) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (position, bit) in flips {
            bytes[position] ^= 1 << bit;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => never_panics(text),
            Err(_) => {
                let refused = matches!(temporary(&bytes), Err(RecipeError::NotUtf8 { .. } | RecipeError::NulByte { .. }));
                prop_assert!(refused);
            }
        }
    }

    #[test]
    fn any_override_is_applied_or_refused(path in "[a-z_.0-9]{0,40}", value in "\\PC{0,20}") {
        if let Err(error) = read_str(GOOD, "small.yaml", &[(path, value)]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn numbers_round_trip(lr in 1e-30f64..100.0, mean in 0.0f32..1.0, seed: u64) {
        let recipe = good(&[
            ("representation_defaults.lr", &format!("{lr:e}")),
            ("data.normalize.mean", &format!("[{mean}, {mean}, {mean}]")),
            ("seed", &seed.to_string()),
        ]);
        prop_assert_eq!(recipe.representations["ce"].lr, lr);
        prop_assert_eq!(read_str(&recipe.to_yaml(), "x", &[]).unwrap(), recipe);
    }
}

/// A recipe on `dataset` with more lines in its data part.
fn photos(dataset: &str, more: &str) -> Result<Recipe, String> {
    let text = format!(
        "data:\n  dataset: {dataset}\n{more}\nrepresentations: {{ce: {{method: {{ce: {{}}}}, augmentation: none}}}}\n\
         classifiers: {{joint: }}\n"
    );
    read_str(&text, "photos.yaml", &[]).map_err(|error| error.to_string())
}

#[test]
fn photo_sets_have_their_own_settings_and_nothing_is_drawn_from_them() {
    let recipe = photos("imagenet_lt", "").unwrap();
    let data = &recipe.data;
    let photo = data.photo.clone().unwrap();
    assert_eq!((photo.image_side, photo.resize_short, photo.packed), (224, 256, false));
    assert_eq!(
        (photo.decode, photo.exif_orientation, photo.on_bad_image),
        (Decode::Exact, ExifOrientation::Ignore, OnBadImage::Fail)
    );
    assert_eq!((data.imbalance_factor, data.subset_seed, data.meta_per_class), (None, None, 10));
    assert_eq!(data.normalize.mean, [0.485, 0.456, 0.406]);
    assert_eq!(read_str(&recipe.to_yaml(), "photos.yaml", &[]).unwrap(), recipe);

    let inat = photos("inaturalist2018", "  image_side: 64\n").unwrap().data;
    assert_eq!((inat.meta_per_class, inat.image_side()), (2, 64));
    assert_eq!(inat.photo.unwrap().resize_short, 73);
    assert_eq!(inat.normalize.std, [0.195, 0.194, 0.192]);

    // How photos are read is part of what was trained on.
    let stage1 = |more| photos("image_folder", more).unwrap().representation_part("ce").unwrap();
    for more in [
        "  image_side: 64\n  resize_short: 256",
        "  resize_short: 230",
        "  decode: scaled",
        "  exif_orientation: apply",
        "  on_bad_image: skip",
        "  packed: true",
    ] {
        assert_ne!(stage1(""), stage1(more), "{more}");
    }
}

#[test]
fn settings_of_the_other_kind_of_data_are_refused() {
    let wrong = |dataset, more| photos(dataset, more).expect_err(more);
    let drawn = wrong("imagenet_lt", "  imbalance_factor: 100");
    assert!(drawn.contains("photos.yaml:3:") && drawn.contains("already long-tailed"), "{drawn}");
    assert!(drawn.contains("help: leave out `imbalance_factor`"), "{drawn}");
    assert!(wrong("image_folder", "  subset_seed: 1").contains("leave out `subset_seed`"));
    let small = wrong("cifar100", "  decode: scaled");
    assert!(small.contains("`decode` is for photographs, but") && small.contains("pixels of one size"), "{small}");
    let crop = wrong("imagenet_lt", "  resize_short: 223");
    assert!(crop.contains("`data.resize_short` is 223, but must be from 224 to 4096"), "{crop}");
    assert!(wrong("imagenet_lt", "  image_side: 31").contains("from 32 to 1024"));
    assert!(wrong("imagenet_lt", "  meta_per_class: 20").contains("from 1 to 19"));
    assert!(wrong("inaturalist2018", "  meta_per_class: 3").contains("must be from 1 to 2"));
}
