"""e2espot: raw soccer video in, the exact moments of passes, drives and other ball actions out."""

__version__ = "0.1.0"
