"""The errors a user can meet: one root, a few named children, each one line long.

A message says what was given, what is allowed and what to do. Tools catch the root,
print the line to stderr and exit 2; anything else is a defect of ours and may show
a traceback.
"""


class E2ESpotError(Exception):
    """Root of every error caused by what the user gave us."""


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
