//! A finished line of the table, for people and as JSON.

use serde::Serialize;

use super::samples::{Samples, megabytes, three_digits};

/// Ours, and a peer's where there is one: its label and its value.
#[derive(Clone, Debug)]
pub struct Sides<T> {
    pub ours: T,
    pub peer: Option<(String, T)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub row: String,
    pub threads: usize,
    pub times: Sides<Samples>,
    pub peaks: Option<Sides<u64>>,
    /// The peer is another case of ours: the inverse ratio is what people ask for.
    pub is_own_peer: bool,
}

/// Widths of the table's columns after the first.
const WIDTHS: [usize; 4] = [7, 24, 27, 24];

fn line(row_width: usize, row: &str, cells: [&str; 5]) -> String {
    let [threads, ours, peer, theirs, ratio] = cells;
    let [threads_width, ours_width, peer_width, theirs_width] = WIDTHS;
    let text = format!(
        "{row:<row_width$} {threads:>threads_width$}  {ours:<ours_width$}  {peer:<peer_width$}  {theirs:<theirs_width$}  {ratio}"
    );
    text.trim_end().to_owned()
}

/// The line above all others.
pub fn heading(row_width: usize) -> String {
    line(row_width, "row", ["threads", "ours: median (range)", "peer", "peer: median (range)", "peer / ours"])
}

/// In place of a line: the row cannot be timed.
pub fn absent(row_width: usize, row: &str, reason: &str) -> String {
    format!("{row:<row_width$} not available: {reason}")
}

impl Outcome {
    /// The time's line, then the memory's.
    pub fn table_lines(&self, row_width: usize) -> Vec<String> {
        let threads = self.threads.to_string();
        let cells = |ours: &str, peer: &str, theirs: &str, ratio: &str| {
            [&threads[..], ours, peer, theirs, ratio].map(str::to_owned)
        };
        let write = |row: &str, cells: [String; 5]| line(row_width, row, cells.each_ref().map(String::as_str));
        let ours = self.times.ours.secs_text();
        let time = match &self.times.peer {
            None => cells(&ours, "", "", ""),
            Some((label, theirs)) => {
                let ratio = theirs.median() / self.times.ours.median();
                let inverse =
                    if self.is_own_peer { format!(" (ours / peer {:.2})", 1.0 / ratio) } else { String::new() };
                cells(&ours, label, &theirs.secs_text(), &format!("{ratio:.2}{inverse}"))
            }
        };
        let mut lines = vec![write(&self.row, time)];
        if let Some(Sides { ours, peer }) = &self.peaks {
            let text = |bytes: u64| format!("{} MB", three_digits(megabytes(bytes)));
            let peak = match peer {
                None => cells(&text(*ours), "", "", ""),
                Some((label, theirs)) => {
                    cells(&text(*ours), label, &text(*theirs), &format!("{:.2}", *theirs as f64 / *ours as f64))
                }
            };
            lines.push(write(&self.peak_row(), peak));
        }
        lines
    }

    fn peak_row(&self) -> String {
        format!("{}, peak memory", self.row)
    }

    /// The same as JSON objects: `ours_secs` and `peer_secs`, or `ours_mb` and `peer_mb`; ratio = peer / ours.
    pub fn json_lines(&self) -> Vec<String> {
        let times = Numbers::new(self.times.ours.median(), self.times.peer.as_ref(), Samples::median);
        let mut lines = vec![json_line(&JsonTime {
            row: &self.row,
            threads: self.threads,
            ours_secs: times.ours,
            peer: times.peer,
            peer_secs: times.theirs,
            ratio: times.ratio,
        })];
        if let Some(Sides { ours, peer }) = &self.peaks {
            let peaks = Numbers::new(megabytes(*ours), peer.as_ref(), |bytes| megabytes(*bytes));
            lines.push(json_line(&JsonPeak {
                row: &self.peak_row(),
                threads: self.threads,
                ours_mb: peaks.ours,
                peer: peaks.peer,
                peer_mb: peaks.theirs,
                ratio: peaks.ratio,
            }));
        }
        lines
    }
}

/// Both sides as plain numbers.
struct Numbers<'a> {
    ours: f64,
    peer: Option<&'a str>,
    theirs: Option<f64>,
    ratio: Option<f64>,
}

impl<'a> Numbers<'a> {
    fn new<T>(ours: f64, peer: Option<&'a (String, T)>, number: impl Fn(&T) -> f64) -> Self {
        let theirs = peer.map(|(_, theirs)| number(theirs));
        Self { ours, peer: peer.map(|(label, _)| label.as_str()), theirs, ratio: theirs.map(|theirs| theirs / ours) }
    }
}

#[derive(Serialize)]
struct JsonTime<'a> {
    row: &'a str,
    threads: usize,
    ours_secs: f64,
    peer: Option<&'a str>,
    peer_secs: Option<f64>,
    ratio: Option<f64>,
}

#[derive(Serialize)]
struct JsonPeak<'a> {
    row: &'a str,
    threads: usize,
    ours_mb: f64,
    peer: Option<&'a str>,
    peer_mb: Option<f64>,
    ratio: Option<f64>,
}

fn json_line(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("text and numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(peer: Option<&str>) -> Outcome {
        let samples = |secs: f64| Samples::new(vec![secs]).expect("one");
        Outcome {
            row: "a step".to_owned(),
            threads: 2,
            times: Sides { ours: samples(0.5), peer: peer.map(|label| (label.to_owned(), samples(0.75))) },
            peaks: peer.map(|label| Sides { ours: 1_000_000, peer: Some((label.to_owned(), 3_000_000)) }),
            is_own_peer: false,
        }
    }

    #[test]
    fn json_has_the_promised_fields() {
        let lines = outcome(Some("pytorch 2.15 contiguous")).json_lines();
        let time = r#"{"row":"a step","threads":2,"ours_secs":0.5,"peer":"pytorch 2.15 contiguous","peer_secs":0.75,"ratio":1.5}"#;
        let peak = r#"{"row":"a step, peak memory","threads":2,"ours_mb":1.0,"peer":"pytorch 2.15 contiguous","peer_mb":3.0,"ratio":3.0}"#;
        assert_eq!(lines, [time, peak]);
        let alone = r#"{"row":"a step","threads":2,"ours_secs":0.5,"peer":null,"peer_secs":null,"ratio":null}"#;
        assert_eq!(outcome(None).json_lines(), [alone]);
    }

    #[test]
    fn the_table_gives_the_ratio_and_for_our_own_peer_its_inverse() {
        let mut outcome = outcome(Some("our CE step"));
        let lines = outcome.table_lines(10);
        assert!(lines[0].starts_with("a step ") && lines[0].ends_with(" 1.50"), "{lines:?}");
        assert!(lines[1].contains("1.00 MB") && lines[1].ends_with(" 3.00"), "{lines:?}");
        outcome.is_own_peer = true;
        assert!(outcome.table_lines(10)[0].ends_with("1.50 (ours / peer 0.67)"));
    }
}
