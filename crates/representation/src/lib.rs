//! Stage 1: backbone, prototypes and meta-network from images.
