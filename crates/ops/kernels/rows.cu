// Sums over all rows.
#include "common.cuh"

// One block: *out = factor * sum of x.
KERNEL rows_sum(const float *x, i64 len, float factor, float *out) {
    __shared__ double shared[256];
    double value = 0;
    for (i64 i = threadIdx.x; i < len; i += blockDim.x) value += x[i];
    value = block_sum(shared, value);
    if (threadIdx.x == 0) *out = factor * (float)value;
}
