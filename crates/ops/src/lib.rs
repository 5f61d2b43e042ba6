//! The kernels that training convolutional networks needs.
