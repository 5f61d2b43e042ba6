//! Losses, heads, optimisers, schedules, the epoch loop, checkpoints, metrics.
