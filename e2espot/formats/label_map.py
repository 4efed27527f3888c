"""Renames and merges classes: a YAML file of old names and new ones.

    HEADER: PASS          # merged into PASS
    Schuss: SHOT          # another language
    pass: PASS            # another spelling
    OUT: null             # left out

Names that are not listed stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2espot.core.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """New names of classes."""

    names: Mapping[str, str | None] = field(default_factory=dict)
    """Old name -> new name; None for a class that is left out."""

    def __call__(self, label: str) -> str | None:
        """New name of a class; None if it is left out."""
        return self.names.get(label, label)


def read_label_map(path: Path | None) -> LabelMap:
    """The map in a file; None for the map that changes nothing.

    Raises:
        ConfigurationError: the file cannot be read, or is no map from names to names.
    """
    if path is None:
        return LabelMap()
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({str(error).splitlines()[0]})", option="map") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: give one line for each class, such as HEADER: PASS", option="map")
    for old, new in content.items():
        # YAML reads an unquoted On, No or 12 as something else than text.
        if not isinstance(old, str) or not (new is None or (isinstance(new, str) and new.strip())):
            raise ConfigurationError(
                f"{path}: {old!r}: {new!r} is no pair of names; put names that YAML takes for something else in "
                "quotes, and give null for a class that is left out",
                option="map",
            )
    return LabelMap(names=content)
