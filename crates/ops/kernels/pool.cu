// Pools, the parameter-free shortcut, and channels side by side.
#include "common.cuh"

// Mean over pixels: x (images, pixels, channels), y (images, channels).
KERNEL pool_mean(const float *x, int images, int pixels, int channels, float *y) {
    EACH(i, (i64)images * channels) {
        const float *from = x + (i / channels) * pixels * channels + i % channels;
        float sum = 0;
        for (int pixel = 0; pixel < pixels; ++pixel) sum += from[(i64)pixel * channels];
        y[i] = sum * (1.0f / pixels);
    }
}

KERNEL pool_mean_gradient(const float *dy, int images, int pixels, int channels, float *dx) {
    EACH(i, (i64)images * pixels * channels) {
        dx[i] = dy[i / ((i64)pixels * channels) * channels + i % channels] * (1.0f / pixels);
    }
}

// Maximum of each window and its place in it (row by row); as in PyTorch of equal values the first wins, of NaNs the last.
KERNEL pool_max(const float *x, int images, int height, int width, int channels, int kernel, int stride, int padding, int out_height,
                int out_width, float *y, unsigned char *winners) {
    EACH(i, (i64)images * out_height * out_width * channels) {
        int c = (int)(i % channels);
        i64 rest = i / channels;
        int ox = (int)(rest % out_width), oy = (int)(rest / out_width % out_height);
        i64 image = rest / out_width / out_height;
        float largest = 0;
        int winner = -1;
        for (int ky = 0; ky < kernel; ++ky) {
            int iy = oy * stride + ky - padding;
            if (iy < 0 || iy >= height) continue;
            for (int kx = 0; kx < kernel; ++kx) {
                int ix = ox * stride + kx - padding;
                if (ix < 0 || ix >= width) continue;
                float value = x[((image * height + iy) * width + ix) * channels + c];
                if (winner < 0 || value > largest || value != value) {
                    largest = value;
                    winner = ky * kernel + kx;
                }
            }
        }
        y[i] = largest;
        winners[i] = (unsigned char)winner;
    }
}

// Each input gathers from the windows that it won, in their order.
KERNEL pool_max_gradient(const float *dy, const unsigned char *winners, int images, int height, int width, int channels, int kernel,
                         int stride, int padding, int out_height, int out_width, float *dx) {
    EACH(i, (i64)images * height * width * channels) {
        int c = (int)(i % channels);
        i64 rest = i / channels;
        int ix = (int)(rest % width), iy = (int)(rest / width % height);
        i64 image = rest / width / height;
        float sum = 0;
        int top = iy + padding - kernel + 1, left = ix + padding - kernel + 1;
        int first_y = top > 0 ? (top + stride - 1) / stride : 0, first_x = left > 0 ? (left + stride - 1) / stride : 0;
        for (int oy = first_y; oy < out_height && oy * stride <= iy + padding; ++oy) {
            for (int ox = first_x; ox < out_width && ox * stride <= ix + padding; ++ox) {
                i64 at = ((image * out_height + oy) * out_width + ox) * channels + c;
                int place = (iy + padding - oy * stride) * kernel + (ix + padding - ox * stride);
                if (winners[at] == place) sum += dy[at];
            }
        }
        dx[i] = sum;
    }
}

// The tangent of the maximum: the winner's.
KERNEL pool_max_tangent(const float *x_dot, const unsigned char *winners, int images, int height, int width, int channels,
                        int kernel, int stride, int padding, int out_height, int out_width, float *y_dot) {
    EACH(i, (i64)images * out_height * out_width * channels) {
        int c = (int)(i % channels);
        i64 rest = i / channels;
        int ox = (int)(rest % out_width), oy = (int)(rest / out_width % out_height);
        i64 image = rest / out_width / out_height;
        int iy = oy * stride + winners[i] / kernel - padding, ix = ox * stride + winners[i] % kernel - padding;
        y_dot[i] = x_dot[((image * height + iy) * width + ix) * channels + c];
    }
}

// Option A: every stride-th pixel, channels padded with zeros, `before` of them in front.
KERNEL shortcut(const float *x, int images, int height, int width, int in_channels, int out_channels, int stride, int before,
                int out_height, int out_width, float *y) {
    EACH(i, (i64)images * out_height * out_width * out_channels) {
        int c = (int)(i % out_channels) - before;
        i64 rest = i / out_channels;
        int ox = (int)(rest % out_width), oy = (int)(rest / out_width % out_height);
        i64 image = rest / out_width / out_height;
        bool copied = c >= 0 && c < in_channels;
        y[i] = copied ? x[((image * height + oy * stride) * width + ox * stride) * in_channels + c] : 0.0f;
    }
}

KERNEL shortcut_gradient(const float *dy, int images, int height, int width, int in_channels, int out_channels, int stride,
                         int before, int out_height, int out_width, int accumulate, float *dx) {
    EACH(i, (i64)images * height * width * in_channels) {
        int c = (int)(i % in_channels);
        i64 rest = i / in_channels;
        int ix = (int)(rest % width), iy = (int)(rest / width % height);
        i64 image = rest / width / height;
        float value = 0;
        if (ix % stride == 0 && iy % stride == 0)
            value = dy[((image * out_height + iy / stride) * out_width + ix / stride) * out_channels + before + c];
        dx[i] = accumulate ? dx[i] + value : value;
    }
}

// Copies `channels` channels to their place among `width`, from `first` on.
KERNEL concat_part(const float *x, i64 rows, int channels, int first, int width, float *y) {
    EACH(i, rows * channels) y[i / channels * width + first + i % channels] = x[i];
}

KERNEL concat_part_gradient(const float *dy, i64 rows, int channels, int first, int width, int accumulate, float *dx) {
    EACH(i, rows * channels) {
        float value = dy[i / channels * width + first + i % channels];
        dx[i] = accumulate ? dx[i] + value : value;
    }
}
