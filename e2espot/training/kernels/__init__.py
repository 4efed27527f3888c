"""Layers whose training compiled kernels compute: on CPUs, in fp32, where they are faster than torch's operations."""
