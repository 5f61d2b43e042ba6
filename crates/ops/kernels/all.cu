// Every kernel, as one file for the device.
#include "conv.cu"
#include "flat.cu"
#include "loss.cu"
#include "norm.cu"
#include "philox.cu"
#include "pool.cu"
