//! Stage 2: dump features; inspect, compare and export dumps.
