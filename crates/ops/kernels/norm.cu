// Batch normalisation: what has a number a channel. The kernels over activations are in activations/norm.cuh.
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

// A batch norm's numbers from running statistics.
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
