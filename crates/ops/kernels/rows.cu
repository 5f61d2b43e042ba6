// Matrices by rows: what a small network and the numbers that a step reports need beside products.
#include "common.cuh"

// y (rows, columns) += bias (columns), below zero cut off where `relu` says so.
KERNEL rows_bias(float *y, const float *bias, int relu, i64 len, int columns) {
    EACH(i, len) {
        float value = y[i] + bias[i % columns];
        y[i] = relu && !(value > 0) ? 0.0f : value;
    }
}

// dy = 0 where y is not positive.
KERNEL rows_relu_gradient(float *dy, const float *y, i64 len) {
    EACH(i, len) if (!(y[i] > 0)) dy[i] = 0;
}

// out[c] = sum of x[:, c], row after row.
KERNEL rows_column_sums(const float *x, int rows, int columns, float *out) {
    EACH(c, columns) {
        double sum = 0;
        for (int r = 0; r < rows; ++r) sum += x[(i64)r * columns + c];
        out[c] = (float)sum;
    }
}

// out[r] = scale[from[r]] * x[from[r]]; `scale` may be null.
KERNEL rows_gather(const float *x, const int *from, const float *scale, int dim, i64 len, float *out) {
    EACH(i, len) {
        i64 source = from[i / dim];
        float value = x[source * dim + i % dim];
        out[i] = scale ? scale[source] * value : value;
    }
}

// A row a block: out[r] = a[r] . b[r], which of a with itself is a square.
KERNEL rows_dots(const float *a, const float *b, int dim, float *out) {
    __shared__ double shared[128];
    i64 start = (i64)blockIdx.x * dim;
    double sum = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) sum += (double)a[start + i] * b[start + i];
    sum = block_sum(shared, sum);
    if (threadIdx.x == 0) out[blockIdx.x] = (float)sum;
}

// One block: *out = factor * (0: sum of x, 1: smallest of x, 2: norm of x, 3: sum of the roots of x), added to what is there where
// `accumulate` says so.
KERNEL rows_total(const float *x, i64 len, int kind, float factor, int accumulate, float *out) {
    __shared__ double shared[256];
    double value = kind == 1 ? -INFINITY : 0;
    for (i64 i = threadIdx.x; i < len; i += blockDim.x) {
        double here = x[i];
        if (kind == 1) {
            if (-here > value) value = -here;
        } else {
            value += kind == 2 ? here * here : kind == 3 ? sqrt(here) : here;
        }
    }
    value = kind == 1 ? -block_max(shared, value) : block_sum(shared, value);
    float total = factor * (float)(kind == 2 ? sqrt(value) : value);
    if (threadIdx.x == 0) *out = accumulate ? *out + total : total;
}

// x *= factor
KERNEL rows_scale(float *x, float factor, i64 len) {
    EACH(i, len) x[i] *= factor;
}

// w = keep * w - rate * g
KERNEL rows_shrink_step(float *w, const float *g, float keep, float rate, i64 len) {
    EACH(i, len) w[i] = keep * w[i] - rate * g[i];
}
