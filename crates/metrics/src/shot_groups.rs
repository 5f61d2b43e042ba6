//! Which shot group a class belongs to.

use longtail_recipe::ShotGroups;

/// Classes with many, a medium number of, or few training images.
///
/// # Source
/// protocol.md §6: many > 100, few < 20, medium the rest (CB, BALMS, LADE, PaCo, TailCalibX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShotGroup {
    /// More than `many_above`.
    Many,
    /// From `few_below` to `many_above`.
    Medium,
    /// Fewer than `few_below`.
    Few,
}

impl ShotGroup {
    /// All, the one with the most images first.
    pub const ALL: [Self; 3] = [Self::Many, Self::Medium, Self::Few];

    /// The group of a class with `count` training images.
    pub fn of(count: u32, bounds: ShotGroups) -> Self {
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

/// How many classes are many, medium and few.
///
/// # Shapes
/// - `class_counts`: `(K,)`, training images of each class
pub fn group_sizes(class_counts: &[u32], bounds: ShotGroups) -> [usize; 3] {
    ShotGroup::ALL.map(|group| class_counts.iter().filter(|&&count| ShotGroup::of(count, bounds) == group).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_themselves_are_medium() {
        let names = [101, 100, 20, 19].map(|count| ShotGroup::of(count, ShotGroups::default()).name());
        assert_eq!(names, ["many", "medium", "medium", "few"]);
        assert_eq!(group_sizes(&[101, 100, 20, 19], ShotGroups::default()), [1, 2, 1]);
    }
}
