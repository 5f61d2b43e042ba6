//! Readers, long-tailed subsets, class counts, samplers, augmentation, the loader.
