"""A match in several files is one match for ``e2espot infer``, alone or as a game of a dataset."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from e2espot.cli.main import main
from e2espot.formats.scores import read_scores
from tests.support.tiny_dataset import write_game, write_spotter


def copy_range(source: Path, target: Path, pictures: range) -> Path:
    """Copy a range of closed groups of pictures into a file that begins at zero."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        written = new.add_stream_from_template(stream)
        chosen = [packet for packet in old.demux(stream) if packet.size][pictures.start : pictures.stop]
        first = min(packet.pts or 0 for packet in chosen)
        for packet in chosen:
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, written
            new.mux(packet)
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole match of 120 pictures, and the same in parts of 48 and 72; 48 pictures are no whole number of pieces."""
    root = tmp_path_factory.mktemp("parts")
    write_spotter(root / "run.safetensors")
    write_game(root / "game", 3, num_frames=120)
    with av.open(str(root / "whole.mp4"), "w") as new, av.open(str(root / "game/224p.mp4")) as old:
        stream = new.add_stream("libx264", rate=25, options={"g": "24", "bf": "0", "x264-params": "scenecut=0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, picture in enumerate(old.decode(video=0)):
            picture.pts, picture.time_base = number, Fraction(1, 25)
            new.mux(stream.encode(picture))
        new.mux(stream.encode(None))
    copy_range(root / "whole.mp4", root / "GX01.MP4", range(48))
    copy_range(root / "whole.mp4", root / "GX02.MP4", range(48, 120))
    return root


def infer(*arguments: object) -> None:
    main(["infer", *map(str, arguments), "--device", "cpu", "--save_scores"])


def test_infer_of_a_match_in_two_files_equals_infer_of_the_whole_match(folder: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out", folder / "run.safetensors"
    infer(run, folder / "whole.mp4", f"{folder}/GX01.MP4+{folder}/GX02.MP4", "-o", out)
    whole, joined = (read_scores(out / name / "scores.npz") for name in ("whole", "GX01+GX02"))
    assert whole.scores_TK.shape == joined.scores_TK.shape
    assert np.abs(whole.scores_TK - joined.scores_TK).max() < 1e-5
    events = [
        [
            (row["label"], row["position"])
            for row in json.loads((out / name / "results_spotting.json").read_text())["predictions"]
        ]
        for name in ("whole", "GX01+GX02")
    ]
    assert events[0] == events[1]
    assert events[0]


def test_infer_reads_a_game_of_a_dataset_whose_video_is_in_parts(folder: Path, tmp_path: Path) -> None:
    game = tmp_path / "data" / "league" / "game"
    game.mkdir(parents=True)
    for half in (1, 2):
        for part in (1, 2):
            (game / f"{half}_224p_part{part}.mp4").write_bytes((folder / f"GX0{part}.MP4").read_bytes())
    out, run = tmp_path / "out", folder / "run.safetensors"
    infer(run, tmp_path / "data", "-o", out)
    infer(run, folder / "whole.mp4", "-o", out)
    whole = read_scores(out / "whole/scores.npz").scores_TK
    for half in (1, 2):
        scores_TK = read_scores(out / "league/game" / f"scores_{half}.npz").scores_TK
        assert np.abs(scores_TK - whole).max() < 1e-5


def test_infer_names_the_part_that_is_missing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        infer(folder / "run.safetensors", f"{folder}/GX01.MP4+GX03.MP4", "-o", tmp_path / "out")
    assert ended.value.code == 2
    assert f"there is no file {folder}/GX03.MP4; name every file of the match, joined with +" in capsys.readouterr().err
