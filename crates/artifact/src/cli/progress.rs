//! One progress bar.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `len` units with a rate and the time that is left, on stderr; hidden when that is no terminal or `quiet`.
pub fn progress(len: u64, what: &str, quiet: bool) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden())
    } else {
        ProgressBar::new(len)
    };
    let template = "{prefix} {wide_bar} {pos}/{len}  {per_sec}  {elapsed} of about {duration}  {msg}";
    let style = ProgressStyle::with_template(template).expect("the template above is well formed");
    bar.with_style(style).with_prefix(what.to_owned())
}
