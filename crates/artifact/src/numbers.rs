//! Numbers in sentences: how many of something, and accuracies.

/// `1 image`, `27 images`. `noun` is one of them, as in `training image`, `class`, `batch` or `entry`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into() {
        Ok(1) => format!("1 {noun}"),
        Ok(count) => format!("{count} {}", plural(noun)),
        // No count is negative or above 64 bits.
        Err(_) => plural(noun),
    }
}

/// `1 image is`, `27 images are`.
pub fn counted_are(count: impl TryInto<u64> + Copy, noun: &str) -> String {
    let verb = if matches!(count.try_into(), Ok(1)) { "is" } else { "are" };
    format!("{} {verb}", counted(count, noun))
}

fn plural(noun: &str) -> String {
    let vowel_before_y = ["ay", "ey", "oy", "uy"].iter().any(|end| noun.ends_with(end));
    match noun {
        _ if ["s", "ch", "sh", "x"].iter().any(|end| noun.ends_with(end)) => format!("{noun}es"),
        _ if noun.ends_with('y') && !vowel_before_y => format!("{}ies", &noun[..noun.len() - 1]),
        _ => format!("{noun}s"),
    }
}

/// An accuracy in percent with two decimals, as terminals and tables show it.
///
/// One accuracy comes by several ways, as a share times 100 or as a mean of percents, whose last bits differ; where the third decimal
/// is a 5 alone they would be rounded to either side. So bits behind the ninth decimal are dropped first.
pub fn percent(value: f64) -> String {
    let value: f64 = format!("{value:.9}").parse().unwrap_or(value);
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_all_else_are_several() {
        for (count, noun, said) in [
            (1, "image", "1 image"),
            (0, "image", "0 images"),
            (2, "class", "2 classes"),
            (1, "class", "1 class"),
            (3, "batch", "3 batches"),
            (2, "entry", "2 entries"),
            (2, "training image", "2 training images"),
        ] {
            assert_eq!(counted(count, noun), said);
        }
        assert_eq!(counted(1_usize, "stage"), "1 stage");
        assert_eq!(
            (counted_are(1_u32, "point"), counted_are(3_u32, "point")),
            ("1 point is".into(), "3 points are".into())
        );
    }

    #[test]
    fn one_accuracy_is_shown_alike_whatever_way_it_came() {
        // 0.90075 of the images: the neighbours in f64 of 90.075 are this accuracy too.
        let middle: f64 = 90.075;
        for value in [middle, middle.next_up(), middle.next_down(), 100.0 * 0.90075] {
            assert_eq!(percent(value), percent(middle), "{value:e}");
        }
        assert_eq!((percent(0.0), percent(100.0), percent(38.304)), ("0.00".into(), "100.00".into(), "38.30".into()));
        assert_eq!(percent(f64::NAN), "NaN");
    }
}
