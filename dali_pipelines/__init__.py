"""Training clips and whole matches, decoded and prepared by NVIDIA DALI.

Every graph takes its device as a parameter. On a GPU, NVDEC decodes and the pictures never touch the host; on a CPU the
same definition runs on VP8, VP9 and MJPEG. ``e2espot`` alone decides which frames are read and what their labels are.

Imports: this package uses values of ``e2espot.clips`` and ``e2espot.video``, and is in turn imported by name from
``e2espot.inference`` and ``e2espot.training``, only when DALI is the backend. See ``docs/dali.md``.
"""
