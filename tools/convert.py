"""Convert other packages' files to ours: python tools/convert.py checkpoint SRC DST."""

from __future__ import annotations

from pathlib import Path

import tyro
from tyro.extras import SubcommandApp

from e2espot.command import run_command

app = SubcommandApp()


@app.command
def checkpoint(
    source: tyro.conf.Positional[str],
    destination: tyro.conf.Positional[Path],
    epoch: int | None = None,
    classes: Path | None = None,
    fps: str | None = None,
) -> None:
    """Make a run of published weights: E2E-Spot's, OpenSportsLib's, or an ImageNet trunk to start from.

    Args:
        source: E2E-Spot folder, OpenSportsLib folder or weights file, timm:NAME, or owner/name on huggingface.co.
        destination: Folder to become a run for tools/infer.py, or a .safetensors file.
        epoch: Which checkpoint_NNN.pt of an E2E-Spot folder; its own best one without it.
        classes: class.txt with the names in order, where it does not lie beside the weights.
        fps: Rate of the frames that the network was trained on, where it is not the data set's own.
    """
    from e2espot.models.converters import Wishes, convert_checkpoint

    print(convert_checkpoint(source, destination, Wishes(epoch=epoch, classes=classes, fps=fps)))


if __name__ == "__main__":
    run_command(lambda: app.cli(prog="convert.py", description="Convert other packages' files to ours."))
