"""Errors that a user can meet: one root, a few named children, each message one line.

A message says what was given, what is allowed and what to do, in the words of the library:
``allow_truncated=True``, not ``--allow_truncated``. Where one parameter settles the matter, the
error carries its name as ``option``, and the command line adds the flag. Commands catch the root,
print the line to stderr and exit 2; anything else is a bug of ours and shows a traceback.
"""

from __future__ import annotations


class E2ESpotError(Exception):
    """Root of every error caused by what the user gave us.

    Args:
        message: One line: what was given, what is allowed, what to do.
        option: Name of the parameter that settles it, such as ``allow_truncated``; flags have the same names.
    """

    def __init__(self, message: str = "", *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


def one_line(error: BaseException) -> str:
    """The text of an exception without line breaks, or the name of its type if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of an exception's text that is not blank, or the name of its type if there is none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def shortened(text: str, longest: int = 160) -> str:
    """A line of at most ``longest`` characters: a longer one ends after a word, and " ..." says that it went on."""
    if len(text) <= longest:
        return text
    start = text[: longest - 4]  # the last word of it may be a part of one
    return (start.rpartition(" ")[0] or start) + " ..."


class VideoError(E2ESpotError):
    """A video that is missing, unreadable, or not what its header claims."""


class DamagedVideoError(VideoError):
    """A stretch of a video that does not decode; what follows may."""


class AnnotationError(E2ESpotError):
    """A label, split or prediction file that breaks its format."""


class ConfigurationError(E2ESpotError):
    """Options that contradict each other, the data or the machine."""


class CheckpointError(E2ESpotError):
    """A run folder or weights file that is missing, broken or of another kind."""


class TrainingError(E2ESpotError):
    """Training that cannot go on, such as a loss that is not a number."""


class DownloadError(E2ESpotError):
    """A server that refuses or fails, or an archive that is damaged or hostile."""
