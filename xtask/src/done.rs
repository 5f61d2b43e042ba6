//! What came of the plan's jobs, and the line that says so.

use longtail_artifact::counted;

use crate::timings;

/// What came of one job.
pub struct Done {
    pub seed: u64,
    pub label: String,
    pub ran: bool,
    /// It is stale, and stands because of `--accept-stale`.
    pub kept_stale: bool,
    pub secs: f64,
}

/// Of all stages that were asked for: how many ran in how long, and why the others did not. `None` where there was no stage.
pub fn what_ran(name: &str, done: &[Done]) -> Option<String> {
    let time = timings::human(done.iter().map(|job| job.secs).sum());
    let (all, ran) = (done.len(), done.iter().filter(|job| job.ran).count());
    let kept = done.iter().filter(|job| job.kept_stale).count();
    let are = if kept == 1 { "is" } else { "are" };
    let words = match (ran, kept) {
        (0, 0) if all == 1 => format!("nothing to do: the stage of {name} is up to date"),
        (0, 0) => format!("nothing to do: all {all} stages of {name} are up to date"),
        (0, kept) if kept == all => {
            format!("nothing was done: all {all} stages of {name} are stale but kept (--accept-stale)")
        }
        (0, _) => format!(
            "nothing was done: {kept} of {all} stages of {name} {are} stale but kept (--accept-stale), the others are up to date"
        ),
        (_, 0) => format!("{ran} of {} of {name} ran, in {time}", counted(all, "stage")),
        _ => format!(
            "{ran} of {} of {name} ran, in {time}; {kept} {are} stale but kept (--accept-stale)",
            counted(all, "stage")
        ),
    };
    (all > 0).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stale_and_kept_is_not_called_up_to_date() {
        let said = |ran: usize, kept: usize, up_to_date: usize| {
            let job = |(ran, kept_stale)| Done { seed: 0, label: String::new(), ran, kept_stale, secs: 1.0 };
            let states =
                [vec![(true, false); ran], vec![(false, true); kept], vec![(false, false); up_to_date]].concat();
            what_ran("x", &states.into_iter().map(job).collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(said(0, 0, 4), "nothing to do: all 4 stages of x are up to date");
        assert_eq!(said(0, 4, 0), "nothing was done: all 4 stages of x are stale but kept (--accept-stale)");
        assert_eq!(
            said(0, 1, 3),
            "nothing was done: 1 of 4 stages of x is stale but kept (--accept-stale), the others are up to date"
        );
        assert_eq!(said(3, 0, 1), "3 of 4 stages of x ran, in 4 s");
        assert_eq!(said(1, 2, 1), "1 of 4 stages of x ran, in 4 s; 2 are stale but kept (--accept-stale)");
    }
}
