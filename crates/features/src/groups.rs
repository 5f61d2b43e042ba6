//! Which shot group a class belongs to.

use longtail_training::ShotBounds;

/// Classes with many, a medium number of, or few training images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShotGroup {
    /// More than `many_above`.
    Many,
    /// The rest.
    Medium,
    /// Fewer than `few_below`.
    Few,
}

impl ShotGroup {
    /// All, the one with the most images first.
    pub const ALL: [Self; 3] = [Self::Many, Self::Medium, Self::Few];

    /// The group of a class with `count` training images.
    pub fn of(count: u32, bounds: ShotBounds) -> Self {
        if count > bounds.many_above {
            Self::Many
        } else if count < bounds.few_below {
            Self::Few
        } else {
            Self::Medium
        }
    }

    /// `many`, `medium` or `few`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Many => "many",
            Self::Medium => "medium",
            Self::Few => "few",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_themselves_are_medium() {
        let names = [101, 100, 20, 19].map(|count| ShotGroup::of(count, ShotBounds::default()).name());
        assert_eq!(names, ["many", "medium", "medium", "few"]);
    }
}
