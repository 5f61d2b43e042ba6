// Kernels over activations: this is read once for each of their elements, ACTIVATION. Arithmetic is in float; `number` reads an
// element and `put` writes one.
#include "conv.cuh"
#include "norm.cuh"
#include "pool.cuh"
