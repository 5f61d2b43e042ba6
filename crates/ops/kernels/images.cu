// Batches of images out of a set whose bytes lie on the device.
#include "common.cuh"

// out (N, height, width, channels): each is one of the images of `pixels` from row `top` and column `left` on, then mirrored; outside of
// it all bytes are 0. `placed` (N, 4): image, top, left, mirrored; `table` (channels, 256): the value of each byte.
KERNEL images_place(const unsigned char *pixels, const float *table, const int *placed, int height, int width, int channels, i64 len,
                    float *out) {
    EACH(i, len) {
        int channel = (int)(i % channels);
        i64 pixel = i / channels;
        int x = (int)(pixel % width);
        pixel /= width;
        int y = (int)(pixel % height);
        const int *place = placed + 4 * (pixel / height);
        i64 row = (i64)y + place[1], column = (i64)(place[3] ? width - 1 - x : x) + place[2];
        bool inside = row >= 0 && row < height && column >= 0 && column < width;
        int byte = inside ? pixels[((place[0] * (i64)height + row) * width + column) * channels + channel] : 0;
        out[i] = table[channel * 256 + byte];
    }
}
