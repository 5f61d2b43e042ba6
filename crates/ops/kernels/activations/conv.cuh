// A convolution as a matrix product: patches side by side, and back.

// columns (images * out pixels, groups, kernel, kernel, channels / groups)
KERNEL_OF(patches)(const ACTIVATION *x, int images, int height, int width, int channels, int kernel, int stride, int padding,
                   int dilation, int groups, int out_height, int out_width, ACTIVATION *columns) {
    int inputs = channels / groups, taps = kernel * kernel;
    EACH(i, (i64)images * out_height * out_width * channels * taps) {
        int c = (int)(i % inputs);
        i64 rest = i / inputs;
        int tap = (int)(rest % taps), group = (int)(rest / taps % groups);
        i64 pixel = rest / taps / groups;
        int ox = (int)(pixel % out_width), oy = (int)(pixel / out_width % out_height);
        i64 image = pixel / out_width / out_height;
        int iy = oy * stride - padding + tap / kernel * dilation, ix = ox * stride - padding + tap % kernel * dilation;
        bool inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
        if (inside) columns[i] = x[((image * height + iy) * width + ix) * channels + group * inputs + c];
        else put(columns + i, 0.0f);
    }
}

// The adjoint: each input gathers what lies for it in the columns, tap after tap.
KERNEL_OF(patches_gradient)(const ACTIVATION *columns, int images, int height, int width, int channels, int kernel,
                            int stride, int padding, int dilation, int groups, int out_height, int out_width, int accumulate,
                            ACTIVATION *dx) {
    int inputs = channels / groups, taps = kernel * kernel;
    EACH(i, (i64)images * height * width * channels) {
        int channel = (int)(i % channels), c = channel % inputs, group = channel / inputs;
        i64 rest = i / channels;
        int ix = (int)(rest % width), iy = (int)(rest / width % height);
        i64 image = rest / width / height;
        float sum = 0;
        for (int ky = 0; ky < kernel; ++ky) {
            int y = iy + padding - ky * dilation;
            if (y < 0 || y % stride != 0 || y / stride >= out_height) continue;
            for (int kx = 0; kx < kernel; ++kx) {
                int x = ix + padding - kx * dilation;
                if (x < 0 || x % stride != 0 || x / stride >= out_width) continue;
                i64 pixel = (image * out_height + y / stride) * out_width + x / stride;
                sum += number(columns[((pixel * groups + group) * taps + ky * kernel + kx) * inputs + c]);
            }
        }
        put(dx + i, accumulate ? number(dx[i]) + sum : sum);
    }
}
