"""Spotters as ONNX graphs: the backbone over a chunk of frames with its states, and the head over any number."""
