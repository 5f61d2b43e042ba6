// What all kernels share. They are plain enough to run on a CPU too: emulate.cpp gives every thread of a block a stack of its own,
// which is how their arithmetic is tested where there is no GPU. So: no warp intrinsics, barriers that all threads reach, and
// sums whose order is a function of sizes alone.
//
// Activations are channels-last, (rows, channels) with rows = images * height * width.
#pragma once

typedef long long i64;

#define KERNEL extern "C" __global__ void

// bfloat16, in memory only: the upper half of a float.
struct bf16 {
    unsigned short bits;
};

__device__ inline float number(float value) { return value; }
__device__ inline float number(bf16 value) { return __uint_as_float((unsigned)value.bits << 16); }

__device__ inline void put(float *to, float value) { *to = value; }
// To the nearest, of two equally near to the even one; a NaN stays one.
__device__ inline void put(bf16 *to, float value) {
    unsigned bits = __float_as_uint(value);
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    bits = is_nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
    to->bits = (unsigned short)(bits >> 16);
}

// As many elements as one access to memory moves.
template <typename T> struct alignas(16) Pack {
    static const int len = 16 / sizeof(T);
    T values[len];
};

// The first element of this thread, and the step to its next one.
#define EACH(index, count)                                                                                                       \
    for (i64 index = (i64)blockIdx.x * blockDim.x + threadIdx.x; index < (count); index += (i64)gridDim.x * blockDim.x)

// Sum over the threads of a block (a power of two) along x; `shared` has one place a thread. Thread 0 gets it.
template <typename T> __device__ inline T block_sum(T *shared, T value) {
    int thread = threadIdx.x;
    shared[thread] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (thread < half) shared[thread] += shared[thread + half];
        __syncthreads();
    }
    T sum = shared[0];
    __syncthreads();
    return sum;
}

template <typename T> __device__ inline T block_max(T *shared, T value) {
    int thread = threadIdx.x;
    shared[thread] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (thread < half && shared[thread + half] > shared[thread]) shared[thread] = shared[thread + half];
        __syncthreads();
    }
    T largest = shared[0];
    __syncthreads();
    return largest;
}
