"""Training clips: which frames, their targets, their augmentation.

LabelledVideo -> sampler -> ClipSpec -> dataset (workers) -> ClipBatch -> device_batch -> DeviceBatch
                              |-> targets (in the worker)         |-> augmentation (on the device)
"""
