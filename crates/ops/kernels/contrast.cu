// What contrasting features with prototypes needs beside the softmax: the derivative along a direction, the bound on the meta-network, and
// the moving averages.
#include "common.cuh"

// A row a block of 128 threads. With p = softmax(s), s and s_dot (rows, classes): values[r] = factor * sum of (p - onehot) * s_dot, and in
// their places s <- factor * (p - onehot), s_dot <- factor * p * (s_dot - sum of p * s_dot). A label below zero makes its row 0.
KERNEL contrast_direction(float *s, float *s_dot, const int *labels, int classes, float factor, float *values) {
    __shared__ float shared[128];
    i64 start = (i64)blockIdx.x * classes;
    int label = labels[blockIdx.x];
    float largest = -INFINITY;
    for (int c = threadIdx.x; c < classes; c += blockDim.x)
        if (s[start + c] > largest) largest = s[start + c];
    largest = block_max(shared, largest);
    float sum = 0, along = 0, target = 0;
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        float e = expf(s[start + c] - largest);
        sum += e;
        along += e * s_dot[start + c];
        if (c == label) target = s_dot[start + c];
    }
    sum = block_sum(shared, sum);
    along = block_sum(shared, along) / sum;
    target = block_sum(shared, target);
    float scale = label < 0 ? 0.0f : factor;
    if (threadIdx.x == 0) values[blockIdx.x] = scale * (along - target);
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        float p = expf(s[start + c] - largest) / sum, moved = s_dot[start + c];
        s[start + c] = scale * (p - (c == label ? 1.0f : 0.0f));
        s_dot[start + c] = scale * p * (moved - along);
    }
}

// What the two kernels below share: norms as the square root of a sum of squares and 1e-24.
struct Bound {
    double norm, center, cosine, tangent;
};

__device__ inline Bound bound_of(double *shared, const float *moved, const float *center, int dim) {
    double mm = 0, cc = 0, mc = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        mm += (double)moved[i] * moved[i];
        cc += (double)center[i] * center[i];
        mc += (double)moved[i] * center[i];
    }
    Bound b;
    b.norm = sqrt(block_sum(shared, mm) + 1e-24);
    b.center = sqrt(block_sum(shared, cc) + 1e-24);
    b.cosine = block_sum(shared, mc) / (b.norm * b.center);
    double tt = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        double t = moved[i] / b.norm - b.cosine * (center[i] / b.center);
        tt += t * t;
    }
    b.tangent = sqrt(block_sum(shared, tt) + 1e-24);
    return b;
}

// A row a block of 128 threads: rows further than the angle from `center` are turned back onto the cone, their length kept.
KERNEL bound_angle(const float *moved, const float *center, float cosine, float sine, int dim, float *out) {
    __shared__ double shared[128];
    i64 start = (i64)blockIdx.x * dim;
    Bound b = bound_of(shared, moved + start, center + start, dim);
    bool outside = b.cosine < cosine;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        double m = moved[start + i], c = center[start + i] / b.center, t = m / b.norm - b.cosine * c;
        out[start + i] = outside ? (float)(b.norm * (cosine * c + sine * t / b.tangent)) : moved[start + i];
    }
}

// Its gradient: g, that of `out`, becomes that of `moved`.
KERNEL bound_angle_gradient(float *g, const float *moved, const float *center, float cosine, float sine, int dim) {
    __shared__ double shared[128];
    i64 start = (i64)blockIdx.x * dim;
    Bound b = bound_of(shared, moved + start, center + start, dim);
    if (!(b.cosine < cosine)) return;
    double gc = 0, gt = 0, gu = 0;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        double u = moved[start + i] / b.norm, c = center[start + i] / b.center, t = (u - b.cosine * c) / b.tangent;
        gc += g[start + i] * c;
        gt += g[start + i] * t;
    }
    gc = block_sum(shared, gc);
    gt = block_sum(shared, gt);
    double dnorm = cosine * gc + sine * gt, factor = b.norm * sine / b.tangent;
    // Of t: factor * (g - gt * t / |t|); of u: that without its part along c, which is gc - gt * (t . c) = gc, as t is orthogonal to c.
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        double u = moved[start + i] / b.norm, c = center[start + i] / b.center, t = (u - b.cosine * c) / b.tangent;
        gu += factor * (g[start + i] - gt * t - gc * c) * u;
    }
    gu = block_sum(shared, gu);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        double u = moved[start + i] / b.norm, c = center[start + i] / b.center, t = (u - b.cosine * c) / b.tangent;
        double du = factor * (g[start + i] - gt * t - gc * c);
        g[start + i] = (float)((du - gu * u) / b.norm + dnorm * u);
    }
}

// A class a block: its moving average, of momentum 1 - rate, takes in the batch's rows of it, in their order. per_sample: an update a row; else one of their mean.
// sphere: c over its norm then. Classes without a row stay.
KERNEL prototype_update(float *prototypes, const float *rows, const int *labels, int n, int dim, const float *rates, int per_sample,
                        int sphere) {
    __shared__ double shared[128];
    int k = blockIdx.x, count = 0;
    for (int r = 0; r < n; ++r) count += labels[r] == k;
    if (count == 0) return;
    double rate = rates[k], m = 1 - rate, keep = per_sample ? pow(m, (double)count) : m, square = 0;
    float *c = prototypes + (i64)k * dim;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        double sum = 0, weight = rate / count;
        for (int r = 0; r < n; ++r) {
            if (labels[r] != k) continue;
            double row = rows[(i64)r * dim + i];
            sum = per_sample ? m * sum + rate * row : sum + weight * row;
        }
        sum += keep * c[i];
        c[i] = (float)sum;
        square += sum * sum;
    }
    square = block_sum(shared, square);
    if (!sphere) return;
    double norm = sqrt(square);
    if (!(norm > 1e-12)) norm = 1e-12;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) c[i] = (float)(c[i] / norm);
}
