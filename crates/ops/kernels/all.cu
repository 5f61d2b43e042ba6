// Every kernel, as one file for the device.
#include "prototypes.cu"
#include "flat.cu"
#include "generate.cu"
#include "images.cu"
#include "loss.cu"
#include "norm.cu"
#include "philox.cu"
#include "rows.cu"

// Those that go over activations, for both of their elements.
#define ACTIVATION float
#define KERNEL_OF(name) KERNEL name
#include "activations/all.cuh"
#undef ACTIVATION
#undef KERNEL_OF
#define ACTIVATION bf16
#define KERNEL_OF(name) KERNEL name##_bf16
#include "activations/all.cuh"
