//! Says early when the meta-network has left the region where its prototypes still stand for classes.
//!
//! A first trial ended in a worthless representation, and its log showed it within two epochs (mpcl_mpfa.md §9): L_PC under the
//! meta-prototypes above log K, cos(c, c') falling.

use longtail_training::EpochMeter;

/// Below this mean cosine the meta-prototypes have turned by more than 60° from their classes.
pub const LOWEST_MEAN_COSINE: f64 = 0.5;

/// The signs of a run that has left the stable region, from the means of the epoch so far.
///
/// Empty for a method without meta-prototypes and while all is well.
pub fn warnings(meter: &EpochMeter) -> Vec<String> {
    let mut warnings = Vec::new();
    let (pc, empirical) = (meter.mean("train/pc"), meter.mean("train/pc_empirical"));
    if let (Some(pc), Some(empirical), Some(limit)) = (pc, empirical, meter.mean("train/log_classes"))
        && pc > limit
        && pc > empirical
    {
        warnings.push(format!(
            "L_PC is {pc:.2}, above log K = {limit:.2} and above {empirical:.2} under the empirical prototypes: the \
             meta-prototypes no longer represent their classes"
        ));
    }
    if let Some(cosine) = meter.mean("meta/cos_mean")
        && cosine < LOWEST_MEAN_COSINE
    {
        warnings.push(format!(
            "the mean cosine between meta-prototypes and prototypes is {cosine:.2}, below {LOWEST_MEAN_COSINE}"
        ));
    }
    warnings
}

/// What to do about it.
pub const HINT: &str =
    "lower `meta_network.lr`, set `meta_network.max_angle_deg` or `meta_network.proximity`, or raise `t_th_frac`";

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(pc: f64, cosine: f64) -> EpochMeter {
        let mut meter = EpochMeter::default();
        meter.add("train/pc_empirical", "nats", 1.5, 1.0);
        meter.add("train/pc", "nats", pc, 1.0);
        meter.add("train/log_classes", "nats", 2.3, 1.0);
        meter.add("meta/cos_mean", "1", cosine, 1.0);
        meter
    }

    #[test]
    fn both_signs_are_named_and_a_sound_run_is_left_alone() {
        assert!(warnings(&meter(2.0, 0.9)).is_empty());
        assert!(warnings(&EpochMeter::default()).is_empty());
        assert!(warnings(&meter(2.5, 0.9))[0].contains("above log K = 2.30"));
        assert!(warnings(&meter(2.0, 0.4))[0].contains("0.40, below 0.5"));
    }
}
