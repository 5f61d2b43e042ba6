//! How to write a value that was meant well: a number in quotes, with a comma, with `_`; `yes` for true; text without quotes.

/// The fields' types that advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A whole number, 0 or more.
    Whole,
    /// Any finite number.
    Number,
    /// true or false.
    Truth,
    /// A string.
    Text,
}

impl Wanted {
    /// By serde's name of the type.
    pub fn of(expected: &str) -> Option<Self> {
        match expected.trim() {
            "usize" | "u64" | "u32" => Some(Self::Whole),
            "f64" | "f32" => Some(Self::Number),
            "a boolean" => Some(Self::Truth),
            "a string" => Some(Self::Text),
            _ => None,
        }
    }
}

/// What to write instead of `value`, where that is plain; nothing else is guessed.
pub(crate) fn advice(value: &str, wanted: Wanted) -> Option<String> {
    let value = value.trim();
    if wanted == Wanted::Text {
        return Some(format!("put it in quotes: \"{value}\""));
    }
    if wanted == Wanted::Truth {
        return match value.to_ascii_lowercase().as_str() {
            "yes" | "y" | "on" | "1" | "true" => Some("write it as true, without quotes".to_owned()),
            "no" | "n" | "off" | "0" | "false" => Some("write it as false, without quotes".to_owned()),
            _ => None,
        };
    }
    let plain = without_separators(value);
    let number: f64 = plain.parse().ok()?;
    if !number.is_finite() {
        return Some("it must be a finite number".to_owned());
    }
    let digits = plain.trim_start_matches('+');
    match wanted {
        Wanted::Whole if number < 0.0 => None,
        Wanted::Whole if number.fract() != 0.0 => Some("it must not have decimals".to_owned()),
        // Up to here every whole number is one of f64's.
        Wanted::Whole if number <= 9e15 => {
            Some(format!("write it as {}, with digits only and without quotes", number as u64))
        }
        Wanted::Whole => None,
        _ => Some(format!("write it as {digits}, without quotes")),
    }
}

/// `1_000` and `1,000` as `1000`, `0,05` as `0.05`.
fn without_separators(value: &str) -> String {
    let value = value.replace('_', "");
    let groups: Vec<&str> = value.split(',').collect();
    let thousands = groups.len() > 1 && groups[0] != "0" && groups[1..].iter().all(|group| group.len() == 3);
    match groups.as_slice() {
        _ if thousands => groups.concat(),
        [whole, part] => format!("{whole}.{part}"),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_as_it_is_written() {
        for (value, wanted, told) in [
            ("20", Wanted::Whole, Some("write it as 20, with digits only and without quotes")),
            ("1_000", Wanted::Whole, Some("write it as 1000, with digits only and without quotes")),
            ("1,000", Wanted::Whole, Some("write it as 1000, with digits only and without quotes")),
            ("100.0", Wanted::Whole, Some("write it as 100, with digits only and without quotes")),
            ("010", Wanted::Whole, Some("write it as 10, with digits only and without quotes")),
            ("2.5", Wanted::Whole, Some("it must not have decimals")),
            ("-2", Wanted::Whole, None),
            ("twenty", Wanted::Whole, None),
            ("0.05", Wanted::Number, Some("write it as 0.05, without quotes")),
            ("0,05", Wanted::Number, Some("write it as 0.05, without quotes")),
            ("1e999", Wanted::Number, Some("it must be a finite number")),
            ("NaN", Wanted::Number, Some("it must be a finite number")),
            ("fast", Wanted::Number, None),
            ("yes", Wanted::Truth, Some("write it as true, without quotes")),
            ("Off", Wanted::Truth, Some("write it as false, without quotes")),
            ("maybe", Wanted::Truth, None),
            ("5", Wanted::Text, Some("put it in quotes: \"5\"")),
        ] {
            assert_eq!(advice(value, wanted).as_deref(), told, "{value}");
        }
    }
}
