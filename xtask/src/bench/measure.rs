//! Times one row: its workers take turns, one repetition each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::outcome::{Outcome, Sides};
use super::rows::{Peer, Row};
use super::samples::Samples;
use super::worker::{Answer, Worker};

/// Between two turns, so that OpenMP's and candle's threads have stopped spinning before another worker begins.
const PAUSE: Duration = Duration::from_millis(20);

/// A Python with torch, and the script that it runs.
pub struct Torch {
    pub python: PathBuf,
    pub script: PathBuf,
}

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub repeats: usize,
    /// A side slower than this for all its repetitions is run fewer times,
    pub most_secs: f64,
    /// but not fewer than this.
    pub fewest: usize,
}

impl Effort {
    /// Repetitions of a case whose warm-up took so long.
    fn repeats(&self, secs: f64) -> usize {
        ((self.most_secs / secs) as usize).clamp(self.fewest.min(self.repeats), self.repeats)
    }
}

/// Who runs: a process each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Seat {
    Ours,
    OursAgain,
    Candle,
    TorchChannelsLast,
    TorchContiguous,
    TorchCompiled,
}

/// The processes at one number of threads, kept from row to row: importing torch takes longer than most rows.
pub struct Workers<'a> {
    worker: &'a Path,
    torch: Option<&'a Torch>,
    threads: usize,
    images: Option<&'a Path>,
    seats: BTreeMap<Seat, Worker>,
}

/// One side of a row while it is measured.
struct Side {
    seat: Seat,
    label: String,
    repeats: usize,
    secs: Vec<f64>,
    peak_bytes: Option<u64>,
}

/// A measured row, one outcome for each peer; or why there is none.
pub enum RowResult {
    Measured(Vec<Outcome>),
    Absent(String),
}

impl<'a> Workers<'a> {
    pub fn new(worker: &'a Path, torch: Option<&'a Torch>, threads: usize, images: Option<&'a Path>) -> Self {
        Self { worker, torch, threads, images, seats: BTreeMap::new() }
    }

    fn seat(&mut self, seat: Seat) -> Result<&mut Worker> {
        if !self.seats.contains_key(&seat) {
            let layout = if seat == Seat::TorchContiguous { "contiguous" } else { "channels-last" };
            let made = match (seat, self.torch) {
                (Seat::TorchChannelsLast | Seat::TorchContiguous | Seat::TorchCompiled, Some(torch)) => {
                    let (script, threads) = (torch.script.to_string_lossy(), self.threads.to_string());
                    Worker::start(&torch.python, &[&script, &threads, layout], self.threads, self.images)?
                }
                _ => Worker::start(self.worker, &[], self.threads, self.images)?,
            };
            self.seats.insert(seat, made);
        }
        self.seats.get_mut(&seat).ok_or_else(|| anyhow!("a seat that was filled above"))
    }

    fn ask(&mut self, seat: Seat, line: &str) -> Result<Answer> {
        let answer = self.seat(seat)?.ask(line);
        std::thread::sleep(PAUSE);
        answer
    }

    /// Warms every side up, then lets them take turns; `progress` hears of every round.
    ///
    /// # Errors
    /// A worker fails, or we are interrupted.
    pub fn measure(&mut self, row: &Row, effort: Effort, mut progress: impl FnMut(usize, usize)) -> Result<RowResult> {
        if row.has_memory {
            self.seats.clear(); // a peak is of a process's whole life
        }
        let mut sides = Vec::new();
        for (seat, case) in seats(row, self.torch.is_some()) {
            match self.ask(seat, &format!("case {case}"))? {
                Answer::Ready { secs, label } => {
                    let label = match (seat, own_label(row)) {
                        (Seat::OursAgain, Some(own)) => own.to_owned(),
                        _ => label,
                    };
                    let repeats = effort.repeats(secs);
                    sides.push(Side { seat, label, repeats, secs: Vec::new(), peak_bytes: None });
                }
                Answer::Absent(reason) if seat == Seat::Ours => return Ok(RowResult::Absent(reason)),
                Answer::Absent(_) => {}
                other => return Err(anyhow!("a worker answers {other:?} to a case")),
            }
        }
        let rounds = sides.iter().map(|side| side.repeats).max().unwrap_or(0);
        for round in 0..rounds {
            progress(round + 1, rounds);
            for side in sides.iter_mut().filter(|side| round < side.repeats) {
                match self.ask(side.seat, "go")? {
                    Answer::Secs(secs) => side.secs.push(secs),
                    other => return Err(anyhow!("a worker answers {other:?} to `go`")),
                }
            }
        }
        if row.has_memory {
            for side in &mut sides {
                if let Answer::Memory(bytes) = self.ask(side.seat, "mem")? {
                    side.peak_bytes = bytes;
                }
            }
            self.seats.clear();
        }
        Ok(RowResult::Measured(outcomes(row, self.threads, sides)))
    }
}

/// The sides of a row, ours first, each with its case.
fn seats(row: &Row, has_torch: bool) -> Vec<(Seat, String)> {
    let mut seats = vec![(Seat::Ours, format!("ours {}", row.case))];
    for peer in &row.peers {
        match peer {
            Peer::Candle => seats.push((Seat::Candle, format!("candle {}", row.case))),
            Peer::Ours { case, .. } => seats.push((Seat::OursAgain, format!("ours {case}"))),
            Peer::Torch if has_torch => {
                for seat in [Seat::TorchChannelsLast, Seat::TorchContiguous] {
                    seats.push((seat, format!("torch {}", row.case)));
                }
            }
            Peer::TorchCompiled if has_torch => {
                seats.push((Seat::TorchCompiled, format!("torch {} compile=1", row.case)));
            }
            Peer::Torch | Peer::TorchCompiled => {}
        }
    }
    seats
}

fn own_label(row: &Row) -> Option<&'static str> {
    row.peers.iter().find_map(|peer| match peer {
        Peer::Ours { label, .. } => Some(*label),
        _ => None,
    })
}

/// One outcome a peer, of PyTorch's two layouts the faster; one without a peer when there is none.
fn outcomes(row: &Row, threads: usize, sides: Vec<Side>) -> Vec<Outcome> {
    let mut measured: Vec<(Side, Samples)> = sides
        .into_iter()
        .filter_map(|mut side| Samples::new(std::mem::take(&mut side.secs)).map(|samples| (side, samples)))
        .collect();
    if measured.is_empty() {
        return Vec::new();
    }
    let (ours, our_secs) = measured.remove(0);
    let torch = |side: &Side| matches!(side.seat, Seat::TorchChannelsLast | Seat::TorchContiguous);
    let mut peers: Vec<(Side, Samples)> = Vec::new();
    for (side, samples) in measured {
        match peers.last_mut().filter(|(last, _)| torch(last) && torch(&side)) {
            Some(last) if samples.median() < last.1.median() => *last = (side, samples),
            Some(_) => {}
            None => peers.push((side, samples)),
        }
    }
    let outcome = |peer: Option<(Side, Samples)>| {
        let is_own_peer = peer.as_ref().is_some_and(|(side, _)| side.seat == Seat::OursAgain);
        let peak = peer.as_ref().and_then(|(side, _)| side.peak_bytes.map(|bytes| (side.label.clone(), bytes)));
        Outcome {
            row: row.name.clone(),
            threads,
            times: Sides { ours: our_secs.clone(), peer: peer.map(|(side, samples)| (side.label, samples)) },
            peaks: ours.peak_bytes.map(|bytes| Sides { ours: bytes, peer: peak }),
            is_own_peer,
        }
    };
    if peers.is_empty() {
        return vec![outcome(None)];
    }
    peers.into_iter().map(|peer| outcome(Some(peer))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows;

    fn side(seat: Seat, label: &str, secs: &[f64]) -> Side {
        Side { seat, label: label.to_owned(), repeats: 1, secs: secs.to_vec(), peak_bytes: None }
    }

    #[test]
    fn of_two_layouts_the_faster_counts() {
        let row = rows::all().swap_remove(0);
        let sides = vec![
            side(Seat::Ours, "ours", &[1.0, 1.2]),
            side(Seat::TorchChannelsLast, "torch nhwc", &[3.0]),
            side(Seat::TorchContiguous, "torch nchw", &[2.0]),
            side(Seat::Candle, "candle", &[9.0]),
        ];
        let found = outcomes(&row, 2, sides);
        let label = |at: usize| found[at].times.peer.as_ref().map(|(label, _)| label.as_str());
        assert_eq!((found.len(), label(0), label(1)), (2, Some("torch nchw"), Some("candle")));
        let alone = outcomes(&row, 2, vec![side(Seat::Ours, "ours", &[1.0])]);
        assert!(alone.len() == 1 && alone[0].times.peer.is_none());
    }

    #[test]
    fn slow_sides_run_fewer_times() {
        let effort = Effort { repeats: 7, most_secs: 30.0, fewest: 2 };
        assert_eq!([0.001, 10.0, 100.0].map(|secs| effort.repeats(secs)), [7, 3, 2]);
        assert_eq!(Effort { repeats: 1, ..effort }.repeats(100.0), 1);
    }

    #[test]
    fn torch_is_left_out_without_a_python() {
        let row = rows::all().swap_remove(0);
        assert_eq!(seats(&row, true).len(), 4);
        assert_eq!(seats(&row, false).len(), 2);
        let row = rows::on_gpu().swap_remove(0);
        assert_eq!(seats(&row, true).last().map(|(seat, _)| *seat), Some(Seat::TorchCompiled));
        assert_eq!(seats(&row, false).len(), 1);
    }
}
