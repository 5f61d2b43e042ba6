// Batch normalisation: statistics, application with residual and ReLU, gradient, derivative along a direction.
#include "common.cuh"

// Threads of a block that share a channel put their two sums together, in the order of their rows. `shared` has two places a thread.
__device__ inline void fold_rows(float *shared, float first, float second, float *partial, int channel, int channels) {
    int width = blockDim.x, place = threadIdx.y * width + threadIdx.x;
    float *seconds = shared + width * blockDim.y;
    shared[place] = first;
    seconds[place] = second;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int row = 1; row < (int)blockDim.y; ++row) {
            first += shared[row * width + threadIdx.x];
            second += seconds[row * width + threadIdx.x];
        }
        partial[(i64)blockIdx.y * 2 * channels + channel] = first;
        partial[((i64)blockIdx.y * 2 + 1) * channels + channel] = second;
    }
}

// Sums of x - x[0] and of its square, a channel a thread along x, `rows_per_block` rows a block along y: partial (blocks, 2, channels).
// The shift keeps the variance from drowning in the mean.
KERNEL norm_moments(const float *x, i64 rows, int channels, int rows_per_block, float *partial) {
    __shared__ float shared[512];
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0, square = 0;
    if (channel < channels) {
        float start = x[channel];
        i64 first = (i64)blockIdx.y * rows_per_block, end = first + rows_per_block;
        if (end > rows) end = rows;
        for (i64 row = first + threadIdx.y; row < end; row += blockDim.y) {
            float value = x[row * channels + channel] - start;
            sum += value;
            square += value * value;
        }
    }
    fold_rows(shared, sum, square, partial, channel, channels);
}

// Sums over a block's threads of two columns of `partial`; a block a channel.
__device__ inline void sum_partials(const float *partial, int blocks, int channels, double *first, double *second) {
    __shared__ double shared[128];
    double a = 0, b = 0;
    for (int block = threadIdx.x; block < blocks; block += blockDim.x) {
        a += partial[(i64)block * 2 * channels + blockIdx.x];
        b += partial[((i64)block * 2 + 1) * channels + blockIdx.x];
    }
    *first = block_sum(shared, a);
    *second = block_sum(shared, b);
}

// Mean, 1/sqrt(variance + eps), and the scale and shift that they make with gamma and beta. `running_mean` and `running_var` follow
// where they are given, the variance unbiased.
KERNEL norm_statistics(const float *partial, int blocks, const float *x, i64 rows, int channels, const float *gamma,
                       const float *beta, float epsilon, float momentum, float *running_mean, float *running_var, float *mean,
                       float *inv_std, float *scale, float *shift) {
    double sum, square;
    sum_partials(partial, blocks, channels, &sum, &square);
    if (threadIdx.x != 0) return;
    int c = blockIdx.x;
    double off = sum / rows, var = square / rows - off * off;
    if (var < 0) var = 0;
    double center = x[c] + off, inverse = 1.0 / sqrt(var + (double)epsilon);
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

// The same numbers from running statistics.
KERNEL norm_running(const float *running_mean, const float *running_var, const float *gamma, const float *beta, float epsilon,
                    int channels, float *mean, float *inv_std, float *scale, float *shift) {
    EACH(c, channels) {
        float inverse = (float)(1.0 / sqrt((double)running_var[c] + (double)epsilon));
        mean[c] = running_mean[c];
        inv_std[c] = inverse;
        scale[c] = gamma[c] * inverse;
        shift[c] = beta[c] - running_mean[c] * inverse * gamma[c];
    }
}

// y = relu?(scale * x + shift + residual?)
KERNEL norm_apply(const float *x, const float *scale, const float *shift, const float *residual, int relu, i64 len, int channels,
                  float *y) {
    EACH(i, len) {
        int c = (int)(i % channels);
        float value = scale[c] * x[i] + shift[c];
        if (residual) value += residual[i];
        y[i] = relu && !(value > 0) ? 0.0f : value;
    }
}

// Sums of v and of v * (x - mean), v = dy where the ReLU's output y let it through (all of it without y); v is written back to dy
// where `write` says so. Blocks as in norm_moments.
KERNEL norm_products(float *dy, const float *y, int write, const float *x, const float *mean, i64 rows, int channels,
                     int rows_per_block, float *partial) {
    __shared__ float shared[512];
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0, product = 0;
    if (channel < channels) {
        float center = mean[channel];
        i64 first = (i64)blockIdx.y * rows_per_block, end = first + rows_per_block;
        if (end > rows) end = rows;
        for (i64 row = first + threadIdx.y; row < end; row += blockDim.y) {
            i64 at = row * channels + channel;
            float v = dy[at];
            if (y && !(y[at] > 0)) v = 0;
            if (write) dy[at] = v;
            sum += v;
            product += v * (x[at] - center);
        }
    }
    fold_rows(shared, sum, product, partial, channel, channels);
}

// From norm_products' sums: dgamma, dbeta, and slope and offset of dx = scale * v + slope * (x - mean) + offset.
KERNEL norm_gradient_sums(const float *partial, int blocks, i64 rows, int channels, const float *inv_std, const float *scale,
                          int batch_stats, float *dgamma, float *dbeta, float *slope, float *offset) {
    double sum, product;
    sum_partials(partial, blocks, channels, &sum, &product);
    if (threadIdx.x != 0) return;
    int c = blockIdx.x;
    float gamma_gradient = (float)product * inv_std[c];
    dgamma[c] = gamma_gradient;
    dbeta[c] = (float)sum;
    slope[c] = batch_stats ? -(scale[c] * inv_std[c] * gamma_gradient) / rows : 0.0f;
    offset[c] = batch_stats ? -(scale[c] * (float)sum) / rows : 0.0f;
}

// From norm_products' sums over the convolution's tangent: slope and offset of the batch norm's tangent.
KERNEL norm_tangent_sums(const float *partial, int blocks, i64 rows, int channels, const float *inv_std, const float *scale,
                         const float *gamma_dot, const float *beta_dot, int batch_stats, float *slope, float *offset) {
    double sum, product;
    sum_partials(partial, blocks, channels, &sum, &product);
    if (threadIdx.x != 0) return;
    int c = blockIdx.x;
    float inverse = inv_std[c], a = gamma_dot[c] * inverse, b = beta_dot[c];
    if (batch_stats) {
        a -= scale[c] * inverse * inverse * (float)(product / rows);
        b -= scale[c] * (float)(sum / rows);
    }
    slope[c] = a;
    offset[c] = b;
}

// out = scale * v + slope * (x - mean) + offset + residual?, zero where y (if given) is not positive.
KERNEL norm_through(const float *v, const float *x, const float *scale, const float *slope, const float *mean,
                    const float *offset, const float *residual, const float *y, i64 len, int channels, float *out) {
    EACH(i, len) {
        int c = (int)(i % channels);
        float value = scale[c] * v[i] + slope[c] * (x[i] - mean[c]) + offset[c];
        if (residual) value += residual[i];
        out[i] = y && !(y[i] > 0) ? 0.0f : value;
    }
}
