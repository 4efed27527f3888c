"""Speed and memory of the library, measured next to other software; one file per topic."""
