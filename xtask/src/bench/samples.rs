//! Times of one case, and how they are written.

/// Seconds (or bytes) of one case, in increasing order, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// None without any.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    /// The middle one, or the mean of the middle two.
    pub fn median(&self) -> f64 {
        let (below, above) = (self.0[(self.0.len() - 1) / 2], self.0[self.0.len() / 2]);
        (below + above) / 2.0
    }

    fn range(&self) -> (f64, f64) {
        (self.0[0], self.0[self.0.len() - 1])
    }

    /// Seconds as `median (least–most)`, all in the median's unit.
    pub fn secs_text(&self) -> String {
        let median = self.median();
        let (scale, unit) = match median {
            secs if secs >= 1.0 => (1.0, "s"),
            secs if secs >= 1e-3 => (1e3, "ms"),
            _ => (1e6, "µs"),
        };
        let (least, most) = self.range();
        let middle = format!("{} {unit}", three_digits(median * scale));
        if self.0.len() == 1 {
            return format!("{middle} (once)");
        }
        format!("{middle} ({}–{})", three_digits(least * scale), three_digits(most * scale))
    }
}

/// Bytes in megabytes, 10^6 bytes.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Three significant digits, without an exponent.
pub fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples::new(values.to_vec()).expect("some")
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(samples(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(samples(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!(Samples::new(Vec::new()), None);
    }

    #[test]
    fn the_unit_follows_the_median() {
        assert_eq!(samples(&[0.5, 0.4, 0.75]).secs_text(), "500 ms (400–750)");
        assert_eq!(samples(&[2.0, 12.5, 1.0]).secs_text(), "2.00 s (1.00–12.5)");
        assert_eq!(samples(&[14e-6]).secs_text(), "14.0 µs (once)");
        assert_eq!(three_digits(1234.5), "1234");
    }
}
