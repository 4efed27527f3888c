"""The ``e2espot`` command: each subcommand is a module of this package, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence

from e2espot import __version__
from e2espot.cli.errors import run_command
from e2espot.cli.leave import leave
from e2espot.core.errors import ConfigurationError

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "See it work": {
        "demo": "render matches, train, infer, score and draw the result",
        "render": "render matches with exact labels",
    },
    "Spot, train and score": {
        "infer": "spot the ball actions of videos or of a dataset",
        "live": "spot the ball actions of a stream seconds after they happen",
        "train": "train a spotter from raw video",
        "evaluate": "score predictions as SoccerNet does",
        "blend": "blend the weights of a spotter before and after fine-tuning",
        "features": "extract the features of videos or of a dataset with any image network",
        "export": "write a spotter as ONNX or OpenVINO graphs, which need no torch",
        "folds": "cross-validate: one run per fold, every game scored by a run that has not seen it",
    },
    "Look and correct": {
        "report": "write a report on predictions as one HTML file",
        "review": "look at events and correct them in the browser",
        "clips": "cut clips around events out of a video",
    },
    "Data": {
        "dataset": "look at a dataset before training: videos, labels, and what looks wrong",
        "download": "download SoccerNet's games",
        "convert": "convert labels, predictions and weights of other packages",
        "align": "move the labels of event feeds to the moments of the video",
        "transcode": "rewrite a video as plain H.264",
        "submit": "check results and pack them for SoccerNet's servers",
    },
    "Measure": {
        "bench": "compare speed and memory with other software",
        "controls": "train two control networks that should fail, without motion and without order",
        "heads": "compare heads on features with a spotter on frames, on rendered matches",
        "ablations": "measure what each design choice is worth",
        "loop": "measure what corrections on the review page are worth",
        "jitter": "measure what aligning the labels of event feeds wins back",
    },
}
"""Heading -> command -> its line in ``e2espot --help``."""
_OF_TORCH = ("torch", "torchvision", "timm", "safetensors")
"""Packages that an installation for exported spotters alone lacks."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand and exit: 0, 2 after one line for a user's error, 130 when interrupted.

    Args:
        arguments: Subcommand and its arguments; those of the process without it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    run_command(lambda: dispatch(words), words)


def console() -> None:
    """``main`` as a process of its own, which ends here."""
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    if not isinstance(code, int):
        sys.exit(str(code))
    leave(code)


def dispatch(arguments: list[str]) -> None:
    """Import the module of the named subcommand and call its ``main``.

    Raises:
        ConfigurationError: no such subcommand.
    """
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        sys.stdout.write(help_text())
    elif name == "--version":
        sys.stdout.write(f"e2espot {__version__}\n")
    elif any(name in commands for commands in COMMANDS.values()):
        try:
            importlib.import_module(f"e2espot.cli.{name}").main(rest)
        except ModuleNotFoundError as error:
            if error.name not in _OF_TORCH:
                raise
            raise ConfigurationError(
                f"this needs {error.name}, which is not installed: pip install torch torchvision timm safetensors; "
                "without torch, e2espot infer runs the folders that e2espot export writes"
            ) from None
    else:
        known = ", ".join(name for commands in COMMANDS.values() for name in commands)
        raise ConfigurationError(f"no command {name!r}; choose from {known}")


def help_text() -> str:
    """Text of ``e2espot --help``."""
    lines = [
        "usage: e2espot COMMAND ...",
        "",
        "Raw soccer video in, the exact moments of passes, drives and other ball actions out.",
    ]
    for heading, commands in COMMANDS.items():
        lines += ["", f"{heading}:", *(f"  {name:<11}{line}" for name, line in commands.items())]
    return "\n".join(
        [*lines, "", "Run e2espot COMMAND --help for the options of a command, e2espot --version for the version.", ""]
    )
