//! Lists of photos: `relative/path.JPEG label`, one a line.

use std::collections::HashMap;
use std::path::Path;

use crate::error::DatasetError;
use crate::photo_files::{Origin, Paths};

/// Labels above this are a mistake: no data set has as many classes.
const LARGEST_LABEL: u64 = 999_999;

/// Images with labels, in the order of what names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What names them.
    pub origin: Origin,
    /// Below a root, `/` between folders.
    pub paths: Paths,
    /// Label of each image.
    pub labels: Vec<u32>,
    /// The entry of each in its origin, counted from 1; 0 in a folder tree.
    pub numbers: Vec<u32>,
}

impl Listing {
    /// Makes an empty list.
    pub fn new(origin: Origin) -> Self {
        Self { origin, paths: Paths::default(), labels: Vec::new(), numbers: Vec::new() }
    }

    /// Adds an image.
    pub fn push(&mut self, path: &str, label: u32, number: u32) {
        self.paths.push(path);
        self.labels.push(label);
        self.numbers.push(number);
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Images of each of `num_classes`.
    ///
    /// # Panics
    /// If a label is not below `num_classes`.
    pub fn class_counts(&self, num_classes: usize) -> Vec<u32> {
        let mut counts = vec![0; num_classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// An error about image `index`, with its line.
    pub fn error(&self, index: usize, problem: String) -> DatasetError {
        match &self.origin {
            Origin::List(file) => DatasetError::List { file: file.clone(), line: Some(self.numbers[index]), problem },
            Origin::Json(file) => DatasetError::List {
                file: file.clone(),
                line: None,
                problem: format!("image {}: {problem}", self.numbers[index]),
            },
            Origin::Tree(folder) => DatasetError::List {
                file: folder.clone(),
                line: None,
                problem: format!("`{}`: {problem}", self.paths.get(index)),
            },
        }
    }

    /// An error about the whole.
    pub fn error_of_all(&self, problem: String) -> DatasetError {
        DatasetError::List { file: self.origin.path().to_owned(), line: None, problem }
    }

    /// Refuses an image that stands here twice, or here and in one of `others`.
    ///
    /// # Errors
    /// Names the second of the two lines.
    pub fn check_distinct(&self, others: &[&Listing]) -> Result<(), DatasetError> {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(self.len());
        for (index, path) in self.paths.iter().enumerate() {
            if let Some(first) = seen.insert(path, index) {
                let place = self.origin.place(self.numbers[first]);
                return Err(self.error(index, format!("`{}` is already in the list: {place}", shortened(path))));
            }
        }
        for other in others {
            if let Some((index, path)) = other.paths.iter().enumerate().find(|(_, path)| seen.contains_key(path)) {
                let place = self.origin.place(self.numbers[seen[path]]);
                return Err(other.error(index, format!("`{}` is also in another list: {place}", shortened(path))));
            }
        }
        Ok(())
    }
}

/// Reads a list. Blank lines, `\r` at the end of lines, a byte-order mark, a leading `./` and `\` for `/` do not matter; the label is
/// the last word of a line, so a path may hold spaces.
///
/// # Errors
/// The file cannot be read or lists nothing; a line, named by its number, without a label, with a label that is no whole
/// number from 0 to 999,999, with a path that leaves the folder, or with a path that an earlier line has.
pub fn read_list(path: &Path) -> Result<Listing, DatasetError> {
    let bytes = std::fs::read(path).map_err(|cause| DatasetError::Read { path: path.to_owned(), cause })?;
    parse_list(path, &bytes)
}

/// [`read_list`] of bytes in memory; `path` is for messages.
///
/// # Errors
/// As [`read_list`].
pub fn parse_list(path: &Path, bytes: &[u8]) -> Result<Listing, DatasetError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut listing = Listing::new(Origin::List(path.to_owned()));
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let bad = |problem: String| DatasetError::List { file: path.to_owned(), line: Some(number), problem };
        let line = std::str::from_utf8(line).map_err(|_| bad("the bytes here are not UTF-8".to_owned()))?.trim();
        if line.is_empty() {
            continue;
        }
        let Some((image, label)) = line.rsplit_once(char::is_whitespace) else {
            return Err(bad(format!("`{}` is not `path label`: the path or the label is missing", shortened(line))));
        };
        let image = image.trim_end().replace('\\', "/");
        let image = image.strip_prefix("./").unwrap_or(&image);
        listing.push(check_path(image).map_err(bad)?, parse_label(label).map_err(bad)?, number);
    }
    if listing.is_empty() {
        return Err(listing.error_of_all("lists no image".to_owned()));
    }
    listing.check_distinct(&[])?;
    Ok(listing)
}

fn parse_label(word: &str) -> Result<u32, String> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the label `{}` is not a whole number", shortened(word)));
    }
    if digits.len() < word.len() {
        return Err(format!("the label is {}, expected 0 or more", shortened(word)));
    }
    match digits.parse::<u64>() {
        Ok(label) if label <= LARGEST_LABEL => Ok(label as u32),
        _ => Err(format!("the label is {}, expected at most {LARGEST_LABEL}", shortened(word))),
    }
}

/// A path that stays below its root.
pub fn check_path(path: &str) -> Result<&str, String> {
    let has_drive = path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') || has_drive {
        return Err(format!(
            "`{}` is an absolute path: write it relative to the folder of images, such as `train/CLASS/1.jpg`",
            shortened(path)
        ));
    }
    if path.contains('\0') || path.split('/').any(|part| part == "..") || path.is_empty() {
        return Err(format!("`{}` does not lie in the folder of images", shortened(path)));
    }
    Ok(path)
}

/// The beginning of a line, for a message.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    let clean = |c: char| if c.is_control() { '?' } else { c };
    let mut short: String = text.chars().take(MOST).map(clean).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Listing, String> {
        parse_list(Path::new("l.txt"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn line_ends_blank_lines_and_spaces_in_paths_do_not_matter() {
        let listing = parse("\u{feff}train/a/1.JPEG 0\r\n\r\n  \n./train/b/my cat.JPEG\t12\n").expect("a good list");
        assert_eq!(listing.paths.iter().collect::<Vec<_>>(), ["train/a/1.JPEG", "train/b/my cat.JPEG"]);
        assert_eq!((listing.labels, listing.numbers), (vec![0, 12], vec![1, 4]));
    }

    #[test]
    fn backslashes_part_folders_too() {
        let listing = parse(".\\train\\a\\1.JPEG 0\r\ntrain/b/2.JPEG 1\n").expect("a good list");
        assert_eq!(listing.paths.iter().collect::<Vec<_>>(), ["train/a/1.JPEG", "train/b/2.JPEG"]);
        assert!(
            parse("C:\\train\\1.JPEG 0\n")
                .expect_err("a drive")
                .contains("is an absolute path: write it relative to the folder of images")
        );
        assert!(parse("..\\1.JPEG 0\n").expect_err("it leaves").contains("`../1.JPEG` does not lie in"));
    }

    #[test]
    fn every_mistake_names_its_line() {
        let long = "x".repeat(200);
        for (text, expected) in [
            ("a 0\nb\n", "`l.txt`:2: `b` is not `path label`: the path or the label is missing"),
            ("a 0\n\nb -1\n", "`l.txt`:3: the label is -1, expected 0 or more"),
            ("a 1000000\n", "`l.txt`:1: the label is 1000000, expected at most 999999"),
            ("a 99999999999999999999999\n", "`l.txt`:1: the label is 99999999999999999999999, expected at most 999999"),
            ("a 1.5\n", "`l.txt`:1: the label `1.5` is not a whole number"),
            ("a +1\n", "`l.txt`:1: the label `+1` is not a whole number"),
            ("a 0\nb 1\na 1\n", "`l.txt`:3: `a` is already in the list: line 1 of `l.txt`"),
            ("../a 0\n", "`l.txt`:1: `../a` does not lie in the folder of images"),
            ("/a/b 0\n", "`l.txt`:1: `/a/b` is an absolute path: write it relative"),
            ("\n\n", "`l.txt`: lists no image"),
            (&long, "`l.txt`:1: `xxxxxxxxxx"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.starts_with(expected), "{message}");
            assert!(message.len() < 250, "{message}");
        }
        let error = parse_list(Path::new("l.txt"), b"a 0\n\xff 1\n").expect_err("bytes").to_string();
        assert_eq!(error, "`l.txt`:2: the bytes here are not UTF-8");
    }

    #[test]
    fn an_image_of_two_lists_is_refused() {
        let (train, val) = (parse("a 0\nb 1\n").expect("good"), parse("c 0\n\nb 1\n").expect("good"));
        let error = train.check_distinct(&[&val]).expect_err("b twice").to_string();
        assert_eq!(error, "`l.txt`:3: `b` is also in another list: line 2 of `l.txt`");
    }
}
