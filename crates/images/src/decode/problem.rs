//! What can be wrong with the bytes of a photo, in words. The caller adds the file's path and its line in the list.

/// Why a photo cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhotoProblem {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// Neither JPEG nor PNG.
    #[error("neither JPEG nor PNG: it starts with {starts}{}", known(.starts))]
    UnknownFormat {
        /// The first bytes, as hexadecimal numbers.
        starts: String,
    },
    /// More pixels than any photo of these data sets has.
    #[error("{width} x {height} pixels are more than the limit of {} million, which protects memory", MOST_PIXELS / 1_000_000)]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The bytes end before the picture does.
    #[error("truncated: the {format} data end after {found} bytes, before the image is complete; fetch the file again")]
    Truncated {
        /// JPEG or PNG.
        format: &'static str,
        /// Bytes that are there.
        found: usize,
    },
    /// The bytes contradict the format.
    #[error("damaged {format} data: {problem}")]
    Damaged {
        /// JPEG or PNG.
        format: &'static str,
        /// What the decoder met.
        problem: String,
    },
    /// A sort of file that is valid but not read.
    #[error("{what}, which is not supported; convert it to a baseline JPEG")]
    Unsupported {
        /// The sort.
        what: String,
    },
}

/// A header that promises more pixels is refused before any memory is taken.
pub(crate) const MOST_PIXELS: u64 = 100_000_000;

/// Formats that are met under a wrong name.
fn known(starts: &str) -> &'static str {
    match starts {
        _ if starts.starts_with("47 49 46 38") => " (a GIF)",
        _ if starts.starts_with("52 49 46 46") => " (a WebP)",
        _ if starts.starts_with("42 4d") => " (a BMP)",
        _ if starts.starts_with("49 49 2a 00") || starts.starts_with("4d 4d 00 2a") => " (a TIFF)",
        _ if starts.starts_with("3c") => " (a page of HTML or XML?)",
        _ => "",
    }
}

impl PhotoProblem {
    /// From the first bytes of something that is no photo.
    pub(crate) fn unknown(encoded: &[u8]) -> Self {
        let starts: Vec<String> = encoded.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        if starts.is_empty() { Self::Empty } else { Self::UnknownFormat { starts: starts.join(" ") } }
    }

    /// Damage to a JPEG.
    pub(crate) fn jpeg(problem: impl Into<String>) -> Self {
        Self::Damaged { format: "JPEG", problem: problem.into() }
    }

    /// Damage to a PNG.
    pub(crate) fn png(problem: impl Into<String>) -> Self {
        Self::Damaged { format: "PNG", problem: problem.into() }
    }

    /// A JPEG's bytes ended.
    pub(crate) fn jpeg_ends(encoded: &[u8]) -> Self {
        Self::Truncated { format: "JPEG", found: encoded.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_the_file_is() {
        assert_eq!(PhotoProblem::unknown(b"").to_string(), "the file is empty");
        let page = PhotoProblem::unknown(b"<html><body>404");
        assert_eq!(
            page.to_string(),
            "neither JPEG nor PNG: it starts with 3c 68 74 6d 6c 3e 3c 62 (a page of HTML or XML?)"
        );
        assert!(PhotoProblem::unknown(b"GIF89a").to_string().ends_with("(a GIF)"));
        let large = PhotoProblem::TooLarge { width: 20_000, height: 20_000 };
        assert_eq!(
            large.to_string(),
            "20000 x 20000 pixels are more than the limit of 100 million, which protects memory"
        );
    }
}
