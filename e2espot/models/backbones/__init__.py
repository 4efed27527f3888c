"""Backbones: frames to one feature vector per frame."""
