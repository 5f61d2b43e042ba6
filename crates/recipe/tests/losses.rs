//! Losses with settings: defaults, ranges, what they do not go with, and the way through a written recipe.

use longtail_recipe::{LdamRecipe, Recipe, RecipeError, Stage1Loss, read_str};

fn recipe(epochs: usize, head: &str, loss: &str) -> Result<Recipe, RecipeError> {
    let text = format!(
        "
data: {{dataset: cifar100}}
representations:
  r:
    method: {{ce: {{}}}}
    epochs: {epochs}
    warmup_epochs: 0
    head: {head}
    loss: {loss}
classifiers: {{joint: {{joint: {{}}}}}}
"
    );
    read_str(&text, "losses", &[])
}

fn ldam(recipe: &Recipe) -> LdamRecipe {
    match &recipe.representation("r").expect("it is there").loss {
        Stage1Loss::Ldam(ldam) => ldam.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ldam_takes_the_authors_numbers_and_the_surveys_form_with_a_linear_head() {
    let given = recipe(200, "normed_linear", "{ldam: {drw: {}}}").expect("valid");
    let found = ldam(&given);
    assert_eq!((found.max_margin, found.scale, found.scale_logits), (0.5, 30.0, true));
    let drw = found.drw.expect("given");
    assert_eq!((drw.from_epoch, drw.beta), (160, 0.9999));
    let without = ldam(&recipe(200, "linear", "{ldam: {}}").expect("valid"));
    assert_eq!((without.scale_logits, without.drw), (false, None));
    assert_eq!(ldam(&recipe(2, "linear", "{ldam: {drw: {}}}").expect("valid")).drw.expect("given").from_epoch, 1);
}

#[test]
fn a_written_recipe_is_the_same_again() {
    for loss in ["ce", "balanced_softmax", "{ldam: {}}", "{ldam: {max_margin: 0.3, drw: {from_epoch: 7}}}"] {
        let first = recipe(20, "linear", loss).expect("valid");
        let again = read_str(&first.to_yaml(), "losses", &[]).expect("what was written");
        assert_eq!(again.representation("r").expect("there"), first.representation("r").expect("there"), "{loss}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (epochs, head, loss, told) in [
        (9, "linear", "{ldam: {drw: {from_epoch: 9}}}", "1 to 8"),
        (9, "linear", "{ldam: {max_margin: 0}}", "max_margin"),
        (9, "linear", "{ldam: {margin: 0.3}}", "max_margin"),
        (1, "linear", "{ldam: {drw: {}}}", "leave out `drw`"),
        (9, "{cosine: 16}", "{ldam: {}}", "normed_linear"),
        (9, "linear", "ldam", "{ldam: {}}"),
        (9, "normed_linear", "ce", "{ldam: {}}"),
        (9, "normed_linear", "balanced_softmax", "{cosine: 16}"),
        (9, "normed_linear", "{ldam: {scale_logits: false}}", "scale_logits"),
        (9, "linear", "ldma", "ldam"),
    ] {
        let said = recipe(epochs, head, loss).expect_err(loss).to_string();
        assert!(said.contains(told), "{loss}: {said}");
    }
}

/// A cosine head of stage 1 has other bits than it had; nothing else is stale for it.
#[test]
fn only_a_cosine_heads_key_knows_its_formula() {
    let part = |head: &str, loss: &str| recipe(9, head, loss).expect("valid").representation_part("r").expect("there");
    assert_eq!(part("{cosine: 16}", "ce")["cosine_head"], 2);
    for (head, loss) in [("linear", "ce"), ("normed_linear", "{ldam: {}}")] {
        assert!(part(head, loss).get("cosine_head").is_none(), "{head}");
    }
}

/// τ-norm and LWS rescale what these heads divide by: refused before anything is trained.
#[test]
fn what_rescales_norms_takes_no_head_that_divides_by_them() {
    for (head, loss) in [("normed_linear", "{ldam: {}}"), ("{cosine: 16}", "ce")] {
        for classifier in ["lws", "tau_norm"] {
            let text = format!(
                "
data: {{dataset: cifar100}}
representations: {{r: {{method: {{ce: {{}}}}, head: {head}, loss: {loss}}}}}
classifiers: {{c: {{{classifier}: {{}}}}}}
rows: [{{representation: r, classifier: c}}]
"
            );
            let said = read_str(&text, "losses", &[]).expect_err(head).to_string();
            assert!(said.contains("rescales the weight norms"), "{head} {classifier}: {said}");
        }
    }
}
