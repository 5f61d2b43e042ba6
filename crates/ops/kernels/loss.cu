// Softmax cross-entropy, and rows on the unit sphere.
#include "common.cuh"

// A row a block of 128 threads. Loss of each row, by the class weights but without the row's own, and the gradient of factor * sum of weight * loss for its
// logits, which may be null. `offsets` (classes), `class_weights` (classes) and `row_weights` (rows) may be null; a label below zero
// leaves its row out. Targets are (1 - smoothing) * one-hot + smoothing / classes.
KERNEL cross_entropy(const float *logits, const int *labels, const float *offsets, const float *class_weights,
                     const float *row_weights, float smoothing, float factor, int classes, float *losses, float *dlogits) {
    __shared__ float shared[128];
    i64 row = blockIdx.x;
    const float *z = logits + row * classes;
    int label = labels[row];
    float largest = -INFINITY;
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        float value = z[c] + (offsets ? offsets[c] : 0.0f);
        if (value > largest) largest = value;
    }
    largest = block_max(shared, largest);
    float exponentials = 0, spread = 0, mass = 0;
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        float value = z[c] + (offsets ? offsets[c] : 0.0f);
        float weight = class_weights ? class_weights[c] : 1.0f;
        float target = (c == label ? 1.0f - smoothing : 0.0f) + smoothing / classes;
        exponentials += expf(value - largest);
        if (target > 0) spread += weight * target * (value - largest);
        mass += weight * target;
    }
    exponentials = block_sum(shared, exponentials);
    spread = block_sum(shared, spread);
    mass = block_sum(shared, mass);
    if (threadIdx.x == 0) losses[row] = label < 0 ? 0.0f : mass * logf(exponentials) - spread;
    if (!dlogits) return;
    float scale = label < 0 ? 0.0f : factor * (row_weights ? row_weights[row] : 1.0f);
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        float value = z[c] + (offsets ? offsets[c] : 0.0f);
        float weight = class_weights ? class_weights[c] : 1.0f;
        float target = (c == label ? 1.0f - smoothing : 0.0f) + smoothing / classes;
        dlogits[row * classes + c] = scale * (mass * expf(value - largest) / exponentials - weight * target);
    }
}

// A row a block of 128 threads: rows over their norms (at least `least`), and the norms.
KERNEL unit_rows(const float *x, int dim, float least, float *unit, float *norms) {
    __shared__ double shared[128];
    const float *from = x + (i64)blockIdx.x * dim;
    double square = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) square += (double)from[i] * from[i];
    square = block_sum(shared, square);
    float norm = (float)sqrt(square);
    if (!(norm > least)) norm = least;
    if (threadIdx.x == 0) norms[blockIdx.x] = norm;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) unit[(i64)blockIdx.x * dim + i] = from[i] / norm;
}

// out = factor * (I - u u^T) v / norm, row by row, added to what is there where `accumulate` says so: the derivative of unit_rows along v, and
// its own adjoint.
KERNEL unit_rows_tangent(const float *v, const float *unit, const float *norms, int dim, float factor, int accumulate, float *out) {
    __shared__ double shared[128];
    i64 start = (i64)blockIdx.x * dim;
    double along = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) along += (double)v[start + i] * unit[start + i];
    along = block_sum(shared, along);
    float norm = norms[blockIdx.x];
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        float value = factor * ((v[start + i] - (float)along * unit[start + i]) / norm);
        out[start + i] = accumulate ? out[start + i] + value : value;
    }
}
