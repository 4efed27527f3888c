"""Verdicts of the reviewer, as the journal stores them: a key for what was judged, and a text for the verdict.

::

    key                 about                                     verdicts
    1/1040/PASS         the prediction at half/frame/class        accepted 17 (it became label 17), rejected
    label/17            label 17                                  confirmed
"""

from __future__ import annotations

from e2espot.review.label_rows import EventKey

REJECTED = "rejected"
"""Verdict on a prediction that is wrong."""
CONFIRMED = "confirmed"
"""Verdict on a label that is right."""
_ACCEPTED = "accepted"


def accepted_as(label_id: int) -> str:
    """Verdict on a prediction that became the label ``label_id``."""
    return f"{_ACCEPTED} {label_id}"


def is_accepted(verdict: str) -> bool:
    """Whether a verdict says that a prediction is right."""
    return verdict.startswith(_ACCEPTED)


def verdict_key(prediction: EventKey) -> str:
    """Key of the verdict on a prediction."""
    return f"{prediction.half}/{prediction.frame}/{prediction.label}"


def label_verdict_key(label_id: int) -> str:
    """Key of the verdict on a label."""
    return f"label/{label_id}"


def event_of_verdict(key: str) -> EventKey | None:
    """The prediction that a verdict is about; None if it is about a label."""
    half, _, rest = key.partition("/")
    frame, _, label = rest.partition("/")  # a class name may contain slashes
    if not half.isdecimal() or not frame.isdecimal():
        return None
    return EventKey(half=int(half), frame=int(frame), label=label)
