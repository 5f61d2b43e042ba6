// Every kernel, as one file for the device.
#include "contrast.cu"
#include "conv.cu"
#include "flat.cu"
#include "loss.cu"
#include "norm.cu"
#include "philox.cu"
#include "pool.cu"
#include "rows.cu"
