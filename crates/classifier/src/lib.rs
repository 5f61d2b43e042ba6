//! Stage 3: generate balanced features, train or adjust a head, score it.
