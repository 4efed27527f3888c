"""Kernels in C++ for CPUs, for inference and training, and what compiles and calls them."""
