"""What the library's roads cost beside those of others, measured side by side; one file a road."""
