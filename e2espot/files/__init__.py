"""Files of any kind: written whole or not at all, npz arrays, zip archives, checked JSON fields."""
