//! Networks as graphs of layers, run forward, backward, and along a direction.
