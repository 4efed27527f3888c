"""File formats, one in each module, and the layout of a dataset."""
