"""Training clips and whole matches, decoded and prepared by NVIDIA DALI.

Every graph takes its device as a parameter: on a GPU the pictures are decoded by NVDEC and
never touch the host; on a CPU the very same definition runs on VP8, VP9 and MJPEG. Which
frames are asked for, and what they are worth as labels, is decided by ``e2espot`` alone.
"""
