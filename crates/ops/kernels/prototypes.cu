// Moving averages of rows, by class.
#include "common.cuh"

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
