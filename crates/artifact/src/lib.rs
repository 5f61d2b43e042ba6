//! The hand-off files: names, shapes, metadata, hashes; atomic write, mmap read, strict load, inspect.
