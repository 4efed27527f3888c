"""Files of any kind: atomic writes, npz arrays, zip archives, checked JSON fields, the cache folder."""
