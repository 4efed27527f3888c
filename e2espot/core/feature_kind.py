"""What kind of features a file holds: rows of numbers at a constant rate, made by a named network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from e2espot.core.errors import ConfigurationError

MAX_DIM = 100_000
"""Most values of a row that are accepted; the widest public features have 8,576."""


@dataclass(frozen=True, kw_only=True)
class FeatureKind:
    """Which features a spotter was trained on, so that it refuses others."""

    name: str
    """Name of the files without half and ending, such as ``ResNET_TF2_PCA512``."""
    dim: Annotated[int, Meta(ge=1, le=MAX_DIM)]
    """Values of each row."""
    origin: str = ""
    """Network, weights, transform and projection that made them, as their JSON says; empty where that is unknown."""

    def check(self, other: FeatureKind, path: object) -> None:
        """Refuse features of another kind.

        Args:
            other: What a file holds.
            path: The file, for the message.

        Raises:
            ConfigurationError: another width, or another origin where both are known.
        """
        if other.dim != self.dim:
            raise ConfigurationError(
                f"{path}: rows of {other.dim} values, and {self.name} with {self.dim} is wanted; give features of "
                "the same network and projection"
            )
        if self.origin and other.origin and self.origin != other.origin:
            raise ConfigurationError(
                f"{path}: features of another kind ({other.origin}); wanted is {self.origin}; extract them alike"
            )

    def doubt(self, other: FeatureKind) -> str:
        """Why other features may be of another kind although ``check`` accepts them; empty if nothing speaks for it."""
        # derby_net.npy holds net
        is_named_alike = other.name == self.name or other.name.endswith(f"_{self.name}")
        if (self.origin and other.origin) or (is_named_alike and not self.origin and not other.origin):
            return ""
        return (
            f"features named {other.name} ({other.origin or 'without a JSON'}), and the run was trained on {self.name} "
            f"({self.origin or 'without a JSON'}); scores mean nothing unless both were made alike"
        )
