// Batch normalisation over activations: statistics, application with residual and ReLU, gradient, derivative along a direction.

// Sums of x - x[0] and of its square, a channel a thread along x, `rows_per_block` rows a block along y: partial
// (blocks, 2, channels).
// The shift keeps the variance from drowning in the mean.
KERNEL_OF(norm_moments)(const ACTIVATION *x, i64 rows, int channels, int rows_per_block, float *partial) {
    __shared__ float shared[512];
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0, square = 0;
    if (channel < channels) {
        float start = number(x[channel]);
        i64 first = (i64)blockIdx.y * rows_per_block, end = first + rows_per_block;
        if (end > rows) end = rows;
        for (i64 row = first + threadIdx.y; row < end; row += blockDim.y) {
            float value = number(x[row * channels + channel]) - start;
            sum += value;
            square += value * value;
        }
    }
    fold_rows(shared, sum, square, partial, channel, channels);
}

// Mean, 1/sqrt(variance + eps), and the scale and shift that they make with gamma and beta. `running_mean` and `running_var` follow
// where they are given, the variance unbiased.
KERNEL_OF(norm_statistics)(const float *partial, int blocks, const ACTIVATION *x, i64 rows, int channels, const float *gamma,
                           const float *beta, float epsilon, float momentum, float *running_mean, float *running_var,
                           float *mean, float *inv_std, float *scale, float *shift) {
    double sum, square;
    sum_partials(partial, blocks, channels, &sum, &square);
    if (threadIdx.x != 0) return;
    int c = blockIdx.x;
    double off = sum / rows, var = square / rows - off * off;
    if (var < 0) var = 0;
    double center = number(x[c]) + off, inverse = 1.0 / sqrt(var + (double)epsilon);
    mean[c] = (float)center;
    inv_std[c] = (float)inverse;
    scale[c] = gamma[c] * (float)inverse;
    shift[c] = beta[c] - (float)center * (float)inverse * gamma[c];
    if (running_mean) {
        double unbiased = rows > 1 ? var * rows / (rows - 1) : var;
        running_mean[c] += momentum * ((float)center - running_mean[c]);
        running_var[c] += momentum * ((float)unbiased - running_var[c]);
    }
}

// y = relu?(scale * x + shift + residual?)
//
// A thread's step is a multiple of the channels, so that it stays on its own; `_wide` takes a pack of channels at a time.
KERNEL_OF(norm_apply)(const ACTIVATION *x, const float *scale, const float *shift, const ACTIVATION *residual, int relu,
                      i64 len, int channels, ACTIVATION *y) {
    i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x, step = (i64)gridDim.x * blockDim.x;
    int c = (int)(first % channels);
    float slope = scale[c], start = shift[c];
    for (i64 i = first; i < len; i += step) {
        float value = slope * number(x[i]) + start;
        if (residual) value += number(residual[i]);
        put(y + i, relu && !(value > 0) ? 0.0f : value);
    }
}

KERNEL_OF(norm_apply_wide)(const ACTIVATION *x, const float *scale, const float *shift, const ACTIVATION *residual, int relu,
                           i64 len, int channels, ACTIVATION *y) {
    typedef Pack<ACTIVATION> P;
    i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x, step = (i64)gridDim.x * blockDim.x;
    int c = (int)(first % (channels / P::len)) * P::len;
    float slope[P::len], start[P::len];
    for (int k = 0; k < P::len; ++k) slope[k] = scale[c + k], start[k] = shift[c + k];
    for (i64 i = first; i < len / P::len; i += step) {
        P in = ((const P *)x)[i], more, out;
        if (residual) more = ((const P *)residual)[i];
        for (int k = 0; k < P::len; ++k) {
            float value = slope[k] * number(in.values[k]) + start[k];
            if (residual) value += number(more.values[k]);
            put(out.values + k, relu && !(value > 0) ? 0.0f : value);
        }
        ((P *)y)[i] = out;
    }
}

// Sums of v and of v * (x - mean), v = dy where the ReLU's output y let it through (all of it without y); v is written back to dy
// where `write` says so. Blocks as in norm_moments.
KERNEL_OF(norm_products)(ACTIVATION *dy, const ACTIVATION *y, int write, const ACTIVATION *x, const float *mean, i64 rows,
                         int channels, int rows_per_block, float *partial) {
    __shared__ float shared[512];
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0, product = 0;
    if (channel < channels) {
        float center = mean[channel];
        i64 first = (i64)blockIdx.y * rows_per_block, end = first + rows_per_block;
        if (end > rows) end = rows;
        for (i64 row = first + threadIdx.y; row < end; row += blockDim.y) {
            i64 at = row * channels + channel;
            float v = number(dy[at]);
            if (y && !(number(y[at]) > 0)) v = 0;
            if (write) put(dy + at, v);
            sum += v;
            product += v * (number(x[at]) - center);
        }
    }
    fold_rows(shared, sum, product, partial, channel, channels);
}

// out = scale * v + slope * (x - mean) + offset + residual?, zero where y (if given) is not positive. Threads as in norm_apply.
KERNEL_OF(norm_through)(const ACTIVATION *v, const ACTIVATION *x, const float *scale, const float *slope, const float *mean,
                        const float *offset, const ACTIVATION *residual, const ACTIVATION *y, i64 len, int channels,
                        ACTIVATION *out) {
    i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x, step = (i64)gridDim.x * blockDim.x;
    int c = (int)(first % channels);
    float a = scale[c], b = slope[c], center = mean[c], start = offset[c];
    for (i64 i = first; i < len; i += step) {
        float value = a * number(v[i]) + b * (number(x[i]) - center) + start;
        if (residual) value += number(residual[i]);
        put(out + i, y && !(number(y[i]) > 0) ? 0.0f : value);
    }
}

KERNEL_OF(norm_through_wide)(const ACTIVATION *v, const ACTIVATION *x, const float *scale, const float *slope,
                             const float *mean, const float *offset, const ACTIVATION *residual, const ACTIVATION *y, i64 len,
                             int channels, ACTIVATION *out) {
    typedef Pack<ACTIVATION> P;
    i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x, step = (i64)gridDim.x * blockDim.x;
    int c = (int)(first % (channels / P::len)) * P::len;
    float a[P::len], b[P::len], center[P::len], start[P::len];
    for (int k = 0; k < P::len; ++k) a[k] = scale[c + k], b[k] = slope[c + k], center[k] = mean[c + k], start[k] = offset[c + k];
    for (i64 i = first; i < len / P::len; i += step) {
        P of_v = ((const P *)v)[i], of_x = ((const P *)x)[i], more, shut, to;
        if (residual) more = ((const P *)residual)[i];
        if (y) shut = ((const P *)y)[i];
        for (int k = 0; k < P::len; ++k) {
            float value = a[k] * number(of_v.values[k]) + b[k] * (number(of_x.values[k]) - center[k]) + start[k];
            if (residual) value += number(more.values[k]);
            put(to.values + k, y && !(number(shut.values[k]) > 0) ? 0.0f : value);
        }
        ((P *)out)[i] = to;
    }
}
