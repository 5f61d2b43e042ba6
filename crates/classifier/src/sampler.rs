//! The order in which feature rows are trained on, one epoch at a time.

use longtail_datasets::{Within, draw_order, progress};
use longtail_ops::stream;
use longtail_recipe::Sampler;

use crate::generate::ClassStore;

/// Batches of one epoch over real rows: ⌊N/batch⌋ of them, at least one.
#[derive(Debug, Clone)]
pub struct RowSampler {
    sampler: Sampler,
    batch_size: usize,
    epochs: usize,
    seed: u64,
    purpose: &'static str,
}

impl RowSampler {
    /// A sampler whose orders come from the streams (`seed`, `purpose`, epoch). `epochs` is the whole training's length: the
    /// progressively balanced sampler shifts over it.
    pub fn new(sampler: Sampler, batch_size: usize, epochs: usize, seed: u64, purpose: &'static str) -> Self {
        Self { sampler, batch_size, epochs, seed, purpose }
    }

    /// Rows of an epoch over `store`.
    pub fn rows(&self, store: &ClassStore) -> usize {
        let batches = (store.len() / self.batch_size).max(1);
        (batches * self.batch_size).min(store.len())
    }

    /// The rows of one epoch, batch after batch.
    ///
    /// Every sampler stops after ⌊N/batch⌋ batches, as CB's trainer does; a class's row is drawn by chance, but for the
    /// class-balanced sampler, where all of them have their turn. In an only epoch the progressively balanced one is at its beginning.
    ///
    /// # Source
    /// [`draw_order`]'s.
    pub fn epoch(&self, store: &ClassStore, epoch: usize) -> Vec<u32> {
        let mut rng = stream(self.seed, self.purpose, epoch as u64, 0);
        let progress = if self.epochs > 1 { progress(epoch, self.epochs) } else { 0.0 };
        let (labels, rows) = (store.labels(), self.rows(store));
        draw_order(self.sampler, labels, store.num_classes(), rows, progress, Within::Chance, &mut rng)
    }

    /// The batches of one epoch as `(features (n, d), labels (n))`.
    pub fn batches<'a>(
        &self,
        store: &'a ClassStore,
        epoch: usize,
    ) -> impl Iterator<Item = (Vec<f32>, Vec<u32>)> + use<'a> {
        let (order, batch_size) = (self.epoch(store, epoch), self.batch_size);
        let batches = order.len().div_ceil(batch_size);
        (0..batches).map(move |batch| {
            let rows = &order[batch * batch_size..((batch + 1) * batch_size).min(order.len())];
            let features = rows.iter().flat_map(|&row| store.row(row as usize).iter().copied()).collect();
            let labels = rows.iter().map(|&row| store.labels()[row as usize]).collect();
            (features, labels)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> ClassStore {
        let labels: Vec<u32> = [(0u32, 60usize), (1, 30), (2, 6)].iter().flat_map(|&(k, n)| vec![k; n]).collect();
        let features: Vec<f32> = (0..labels.len()).map(|row| row as f32).collect();
        ClassStore::new(&features, &labels, 3, 1).expect("valid")
    }

    fn epoch(sampler: Sampler, epoch: usize) -> Vec<u32> {
        RowSampler::new(sampler, 10, 5, 7, "test").epoch(&store(), epoch)
    }

    fn per_class(rows: &[u32]) -> [usize; 3] {
        let store = store();
        let mut counts = [0; 3];
        rows.iter().for_each(|&row| counts[store.labels()[row as usize] as usize] += 1);
        counts
    }

    #[test]
    fn an_epoch_is_whole_batches_of_the_data() {
        for sampler in
            [Sampler::InstanceBalanced, Sampler::ClassBalanced, Sampler::SquareRoot, Sampler::ProgressivelyBalanced]
        {
            assert_eq!(epoch(sampler, 1).len(), 90, "{sampler:?}: ⌊96/10⌋ batches");
            assert_eq!(epoch(sampler, 1), epoch(sampler, 1));
            assert_ne!(epoch(sampler, 1), epoch(sampler, 2));
        }
    }

    #[test]
    fn instance_balanced_takes_each_row_once() {
        let mut rows = epoch(Sampler::InstanceBalanced, 0);
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 90);
    }

    #[test]
    fn class_balanced_takes_four_in_a_row_and_each_class_alike() {
        let rows = epoch(Sampler::ClassBalanced, 0);
        let store = store();
        for four in rows.chunks_exact(4) {
            let label = store.labels()[four[0] as usize];
            assert!(four.iter().all(|&row| store.labels()[row as usize] == label));
        }
        // 22 draws of four and one of two, classes in turns of three
        assert!(per_class(&rows).iter().all(|&count| (26..=34).contains(&count)), "{:?}", per_class(&rows));
        // the 6 rows of class 2 come round evenly: a cycle takes each before any comes again
        let last: Vec<u32> = rows.iter().copied().filter(|&row| row >= 90).collect();
        for cycle in last.chunks_exact(6) {
            let mut cycle = cycle.to_vec();
            cycle.sort_unstable();
            assert_eq!(cycle, vec![90, 91, 92, 93, 94, 95]);
        }
    }

    #[test]
    fn progressively_balanced_moves_from_instances_to_classes() {
        let first: [usize; 3] = per_class(&epoch(Sampler::ProgressivelyBalanced, 0));
        let last = per_class(&epoch(Sampler::ProgressivelyBalanced, 4));
        assert!(first[0] > 45 && first[2] < 15, "{first:?}");
        assert!(last.iter().all(|&count| (17..=43).contains(&count)), "{last:?}");
    }

    /// The numbers of before stages 1 and 3 shared their samplers.
    #[test]
    fn orders_are_what_they_always_were() {
        for (sampler, rows) in [
            (Sampler::InstanceBalanced, [56, 93, 9, 59, 54, 51, 92, 60]),
            (Sampler::ClassBalanced, [92, 94, 95, 90, 37, 12, 51, 14]),
            (Sampler::SquareRoot, [28, 66, 0, 66, 68, 93, 90, 88]),
            (Sampler::ProgressivelyBalanced, [28, 13, 0, 66, 68, 93, 90, 88]),
        ] {
            assert_eq!(epoch(sampler, 1)[..8], rows, "{sampler:?}");
        }
        let only = RowSampler::new(Sampler::ProgressivelyBalanced, 10, 1, 7, "test").epoch(&store(), 0);
        assert_eq!(only[..8], [50, 90, 20, 5, 5, 83, 51, 56]);
    }

    #[test]
    fn batches_carry_the_rows_features() {
        let store = store();
        let sampler = RowSampler::new(Sampler::InstanceBalanced, 10, 5, 7, "test");
        let order = sampler.epoch(&store, 3);
        let batches: Vec<_> = sampler.batches(&store, 3).collect();
        assert_eq!(batches.len(), 9);
        assert_eq!(batches[2].0[4], store.row(order[24] as usize)[0]);
    }
}
