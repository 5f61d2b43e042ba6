// Generated features: means of rows' laws, and noise that is added row by row.
#include "common.cuh"

// out[r] = weight[r] * base[source[r]] + sum over slots of mean_weights[r][s] * means[classes[r][s]]
KERNEL generate_means(const float *base, const float *means, const int *source, const float *weight, const int *classes,
                      const float *mean_weights, int slots, int dim, i64 len, float *out) {
    EACH(i, len) {
        i64 row = i / dim;
        int column = (int)(i - row * dim);
        float value = weight[row] * base[(i64)source[row] * dim + column];
        for (int slot = 0; slot < slots; ++slot) {
            value += mean_weights[row * slots + slot] * means[(i64)classes[row * slots + slot] * dim + column];
        }
        out[i] = value;
    }
}

// out[target[r]] += coefficient[r] * noise[r]: targets differ. A row of noise has one number for all columns, or one for each.
KERNEL generate_add(const float *noise, int one_for_all, const int *target, const float *coefficient, int dim, i64 len, float *out) {
    EACH(i, len) {
        i64 row = i / dim;
        int column = (int)(i - row * dim);
        out[(i64)target[row] * dim + column] += coefficient[row] * noise[one_for_all ? row : i];
    }
}
