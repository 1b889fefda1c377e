//! Random kernels of every kind.
