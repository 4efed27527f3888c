"""Version of the package: files of results and scores record which version wrote them."""

__version__ = "0.2.0"

VERSION_FIELD = "e2espot_version"
"""Name of that field in the files."""
