//! Making items ahead of their use, in order, without a way to deadlock.
//!
//! Each item is one task for rayon, and each task has a claim that is taken once. A worker that comes to the task first
//! takes the claim and makes the item; if the consumer needs the item before any worker came to it, the consumer takes the
//! claim and makes the item itself. So the consumer only ever waits for an item that some thread is making at that moment.
//! Making an item may spread its parts over rayon, whose parts call nothing in rayon: a thread that makes an item can do
//! every part itself, and a part that another thread took from it ends without waiting for anything. So that thread finishes:
//! a pool of one thread, a pool that is busy with training, or a consumer that itself runs inside the pool cost speed, never
//! progress.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

/// A function from an item's number to the item, which any thread may call.
pub type Make<T> = Arc<dyn Fn(usize) -> T + Send + Sync>;

/// The items `next..end`, with up to `depth` of them under way or finished before they are asked for.
pub struct Prefetch<T> {
    make: Make<T>,
    next: usize,
    scheduled: usize,
    end: usize,
    depth: usize,
    queue: VecDeque<Task<T>>,
}

struct Task<T> {
    claimed: Arc<AtomicBool>,
    result: Receiver<Option<T>>,
}

impl<T> Task<T> {
    /// True for exactly one caller.
    fn claim(claimed: &AtomicBool) -> bool {
        !claimed.swap(true, Ordering::AcqRel)
    }
}

impl<T: Send + 'static> Prefetch<T> {
    /// The items of `range`, made by `make`; nothing is made ahead with `depth` 0.
    pub fn new(make: Make<T>, range: std::ops::Range<usize>, depth: usize) -> Self {
        let mut prefetch = Self {
            make,
            next: range.start,
            scheduled: range.start,
            end: range.end.max(range.start),
            depth,
            queue: VecDeque::with_capacity(depth),
        };
        prefetch.schedule();
        prefetch
    }

    /// The number of the next item.
    pub fn number(&self) -> usize {
        self.next
    }

    /// Items that are still to come.
    pub fn remaining(&self) -> usize {
        self.end - self.next
    }

    /// The next item with its number, or `None` after the last. The item is `Err` if making it panicked.
    pub fn next(&mut self) -> Option<(usize, Result<T, Panicked>)> {
        if self.next == self.end {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let item = match self.queue.pop_front() {
            None => {
                self.scheduled = self.next;
                guarded(&self.make, number)
            }
            Some(task) => {
                self.schedule(); // the next ones can start while this one is made or waited for
                if Task::<T>::claim(&task.claimed) {
                    guarded(&self.make, number)
                } else {
                    // Claimed by a worker: it sends exactly once, whatever happens.
                    task.result.recv().ok().flatten()
                }
            }
        };
        Some((number, item.ok_or(Panicked)))
    }

    fn schedule(&mut self) {
        while self.queue.len() < self.depth && self.scheduled < self.end {
            let (sender, result) = sync_channel(1);
            let claimed = Arc::new(AtomicBool::new(false));
            let (make, number, worker_claim) = (Arc::clone(&self.make), self.scheduled, Arc::clone(&claimed));
            rayon::spawn(move || {
                if Task::<T>::claim(&worker_claim) {
                    // A consumer that is gone does not want the item any more.
                    let _ = sender.send(guarded(&make, number));
                }
            });
            self.queue.push_back(Task { claimed, result });
            self.scheduled += 1;
        }
    }
}

impl<T> Drop for Prefetch<T> {
    /// Tasks that no worker has begun become empty.
    fn drop(&mut self) {
        for task in &self.queue {
            Task::<T>::claim(&task.claimed);
        }
    }
}

/// Making an item panicked.
#[derive(Debug)]
pub struct Panicked;

/// A panic in a rayon task would end the process; here it ends one item.
fn guarded<T>(make: &Make<T>, number: usize) -> Option<T> {
    catch_unwind(AssertUnwindSafe(|| make(number))).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn all(range: std::ops::Range<usize>, depth: usize) -> Vec<usize> {
        let mut prefetch = Prefetch::new(Arc::new(|i| i * i), range, depth);
        std::iter::from_fn(|| prefetch.next().map(|(_, item)| item.expect("no panic"))).collect()
    }

    #[test]
    fn items_come_in_order_at_every_depth() {
        for depth in [0, 1, 3, 50] {
            assert_eq!(all(2..7, depth), [4, 9, 16, 25, 36], "depth {depth}");
            assert!(all(5..5, depth).is_empty());
        }
    }

    #[test]
    fn a_consumer_inside_a_pool_of_one_thread_does_not_wait_for_itself() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert_eq!(pool.install(|| all(0..20, 4)).len(), 20);
    }

    #[test]
    fn a_dropped_iterator_stops_making_items() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        // The only worker is busy with this closure, so no task can have begun when the iterator is dropped.
        pool.install(move || {
            let mut prefetch = Prefetch::new(Arc::new(move |_| counter.fetch_add(1, Ordering::SeqCst)), 0..1000, 8);
            prefetch.next();
        });
        pool.install(|| ()); // whatever was queued has run
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_panic_is_an_error_of_one_item() {
        for depth in [0, 2] {
            let make: Make<usize> = Arc::new(|i| if i == 1 { panic!("item 1") } else { i });
            let mut prefetch = Prefetch::new(make, 0..3, depth);
            let good: Vec<bool> = std::iter::from_fn(|| prefetch.next().map(|(_, item)| item.is_ok())).collect();
            assert_eq!(good, [true, false, true]);
        }
    }
}
