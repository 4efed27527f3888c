"""Write a spotter that needs no torch: e2espot export RUN -o spotter/."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.subcommand import command_line
from e2espot.core.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a spotter as ONNX or OpenVINO graphs, which infer runs without torch, and other programs with an engine.

    Examples: e2espot export RUN -o spotter/; e2espot export RUN -o spotter/ --to openvino --check match.mp4
    """

    run: tyro.conf.Positional[Path]
    """Run folder or .safetensors file."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("spotter")
    """Folder to write."""
    to: Literal["onnx", "openvino"] = "onnx"
    """Form of the graphs: onnx for ONNX Runtime and most others, openvino for OpenVINO."""
    chunk: int = 32
    """Frames that the backbone's graph takes at a time, 8 to 1024: fewer give results sooner, more are faster."""
    size: str = "trained"
    """Size of the frames that the network sees: trained, or width x height such as 512x288."""
    adapt_to: Path | None = None
    """Adapt the batch norms to this video first, for matches filmed like it: what infer does with a run for each video,
    and cannot do with an exported spotter."""
    check: Path | None = None
    """Compare with the run on this video afterwards; the scores must agree within 1e-4."""


def main(arguments: list[str]) -> None:
    """Export, print where the folder is, and compare if asked to."""
    args = parse(Export, arguments, "e2espot export")

    from e2espot.core.frame_size import parse_frame_size
    from e2espot.inference.adapt import adapt_to_video, resize
    from e2espot.inference.export import check_export, export_spotter
    from e2espot.inference.options import InferenceOptions
    from e2espot.models.weights.checkpoint import load_spotter
    from e2espot.suppression.calibration import read_calibration

    size = None if args.size == "trained" else parse_frame_size(args.size)
    spotter, norms = resize(load_spotter(args.run), size), "training"
    if args.adapt_to is not None:
        spotter, adaptation = adapt_to_video(spotter, args.adapt_to, InferenceOptions(size="trained"))
        if adaptation is None:
            raise ConfigurationError(f"{args.adapt_to}: nothing to adapt to", option="adapt_to")
        norms = f"{args.adapt_to.name}, share {adaptation.share:.3g}"
    if spotter.spec.smooth_ball:
        print("note: exported spotters do not smooth the map of the ball over time, which runs do on such a video")
        spotter.spec = replace(spotter.spec, smooth_ball=False)
    calibration = read_calibration(args.run, spotter.label_set)
    export_spotter(spotter, calibration, args.out, form=args.to, chunk_len=args.chunk, norms=norms)
    print(f"exported spotter: {args.out}; try it: {command_line('infer', args.out, 'VIDEO', '-o', 'out/')}")
    if args.check is not None:
        print(check_export(spotter, args.out, args.check).describe())
