"""Backbones: frames to one feature vector a frame."""
