// Pools, the parameter-free shortcut, and channels side by side.

// Mean over pixels: x (images, pixels, channels), y (images, channels), which is float whatever the activations are.
KERNEL_OF(pool_mean)(const ACTIVATION *x, int images, int pixels, int channels, float *y) {
    EACH(i, (i64)images * channels) {
        const ACTIVATION *from = x + (i / channels) * pixels * channels + i % channels;
        float sum = 0;
        for (int pixel = 0; pixel < pixels; ++pixel) sum += number(from[(i64)pixel * channels]);
        y[i] = sum * (1.0f / pixels);
    }
}

KERNEL_OF(pool_mean_gradient)(const float *dy, int images, int pixels, int channels, ACTIVATION *dx) {
    EACH(i, (i64)images * pixels * channels) {
        put(dx + i, dy[i / ((i64)pixels * channels) * channels + i % channels] * (1.0f / pixels));
    }
}

// Maximum of each window and its place in it (row by row); as in PyTorch of equal values the first wins, of NaNs the last.
KERNEL_OF(pool_max)(const ACTIVATION *x, int images, int height, int width, int channels, int kernel, int stride, int padding,
                    int out_height, int out_width, ACTIVATION *y, unsigned char *winners) {
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
                float value = number(x[((image * height + iy) * width + ix) * channels + c]);
                if (winner < 0 || value > largest || value != value) {
                    largest = value;
                    winner = ky * kernel + kx;
                }
            }
        }
        put(y + i, largest);
        winners[i] = (unsigned char)winner;
    }
}

// Each input gathers from the windows that it won, in their order.
KERNEL_OF(pool_max_gradient)(const ACTIVATION *dy, const unsigned char *winners, int images, int height, int width,
                             int channels, int kernel, int stride, int padding, int out_height, int out_width,
                             ACTIVATION *dx) {
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
                if (winners[at] == place) sum += number(dy[at]);
            }
        }
        put(dx + i, sum);
    }
}

// The tangent of the maximum: the winner's.
KERNEL_OF(pool_max_tangent)(const ACTIVATION *x_dot, const unsigned char *winners, int images, int height, int width,
                            int channels, int kernel, int stride, int padding, int out_height, int out_width,
                            ACTIVATION *y_dot) {
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
KERNEL_OF(shortcut)(const ACTIVATION *x, int images, int height, int width, int in_channels, int out_channels, int stride,
                    int before, int out_height, int out_width, ACTIVATION *y) {
    EACH(i, (i64)images * out_height * out_width * out_channels) {
        int c = (int)(i % out_channels) - before;
        i64 rest = i / out_channels;
        int ox = (int)(rest % out_width), oy = (int)(rest / out_width % out_height);
        i64 image = rest / out_width / out_height;
        bool copied = c >= 0 && c < in_channels;
        if (copied) y[i] = x[((image * height + oy * stride) * width + ox * stride) * in_channels + c];
        else put(y + i, 0.0f);
    }
}

KERNEL_OF(shortcut_gradient)(const ACTIVATION *dy, int images, int height, int width, int in_channels, int out_channels,
                             int stride, int before, int out_height, int out_width, int accumulate, ACTIVATION *dx) {
    EACH(i, (i64)images * height * width * in_channels) {
        int c = (int)(i % in_channels);
        i64 rest = i / in_channels;
        int ix = (int)(rest % width), iy = (int)(rest / width % height);
        i64 image = rest / width / height;
        float value = 0;
        if (ix % stride == 0 && iy % stride == 0)
            value = number(dy[((image * out_height + iy / stride) * out_width + ix / stride) * out_channels + before + c]);
        put(dx + i, accumulate ? number(dx[i]) + value : value);
    }
}

// Copies `channels` channels to their place among `width`, from `first` on.
KERNEL_OF(concat_part)(const ACTIVATION *x, i64 rows, int channels, int first, int width, ACTIVATION *y) {
    EACH(i, rows * channels) y[i / channels * width + first + i % channels] = x[i];
}

KERNEL_OF(concat_part_gradient)(const ACTIVATION *dy, i64 rows, int channels, int first, int width, int accumulate,
                                ACTIVATION *dx) {
    EACH(i, rows * channels) {
        float value = number(dy[i / channels * width + first + i % channels]);
        put(dx + i, accumulate ? number(dx[i]) + value : value);
    }
}

// y += x
KERNEL_OF(activations_add)(ACTIVATION *y, const ACTIVATION *x, i64 len) {
    EACH(i, len) put(y + i, number(y[i]) + number(x[i]));
}
