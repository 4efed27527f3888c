"""DALI crops black bars as PyAV does, in whole matches and in clips, and leaves interlaced files to PyAV."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("nvidia.dali", reason="NVIDIA DALI is not installed")

from dali_pipelines.clips import inner_window
from dali_pipelines.graph import GraphOptions
from dali_pipelines.iterators import DaliClips
from dali_pipelines.routes import is_decodable
from dali_pipelines.stream import MatchStream
from e2espot.clips.augmentation_params import Augmentation, AugmentationParams, sample_augmentation
from e2espot.core.picture_options import PictureOptions
from tests.support import dali_videos
from tests.support.numbered_video import numbers_in
from tests.support.prepared_videos import barred, interlaced

VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "10", "crf": "20", "b": "0"}}
COUNT = 60
CPU = GraphOptions(device=torch.device("cpu"), batch_size=2, num_threads=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same pictures with bars and without."""
    folder = tmp_path_factory.mktemp("bars")
    return {
        "boxed": barred(folder / "boxed.mkv", (80, 40, 80, 40), COUNT, **VP9),
        "plain": barred(folder / "plain.mkv", (0, 0, 0, 0), COUNT, **VP9),
    }


def test_match_stream_shows_a_barred_file_as_one_without_bars(files: dict[str, Path]) -> None:
    boxed_THWC, plain_THWC = (
        torch.cat(list(MatchStream(path=files[name], size=(160, 120), options=CPU).chunks())).numpy()
        for name in ("boxed", "plain")
    )
    assert numbers_in(boxed_THWC) == list(range(COUNT))
    assert np.abs(boxed_THWC.astype(int) - plain_THWC).mean() < 1
    whole = MatchStream(path=files["boxed"], size=(160, 120), options=CPU, pictures=PictureOptions(crop_bars="off"))
    assert torch.cat(list(whole.chunks()))[:, :8].max() < 12


@pytest.mark.parametrize("augmentation", [None, Augmentation(crop=0.7)])
def test_clips_of_a_barred_file_are_those_of_one_without_bars(
    files: dict[str, Path], augmentation: Augmentation | None
) -> None:
    def params(epoch: int, indexes: tuple[int, ...]) -> list[AugmentationParams]:
        return [sample_augmentation(np.random.default_rng([epoch, index]), augmentation) for index in indexes]

    datasets = [dali_videos.dataset([files[name]], num_clips=4) for name in ("boxed", "plain")]
    boxed, plain = (
        DaliClips(dataset, params, options=CPU, dtype=torch.float32, augmentation=augmentation).epoch(
            0, batch_size=2, num_workers=0
        )
        for dataset in datasets
    )
    for given, expected in zip(boxed, plain, strict=True):
        # Levels of 255, scaled to the network's input: 0.02 is one level.
        assert (given.frames_BTCHW - expected.frames_BTCHW).abs().mean() < 0.02
    assert [preparation.describe() for preparation in datasets[0].prepared.values()] == ["cropped to 320x240 at 80,40"]
    assert not datasets[1].prepared


def test_is_decodable_is_false_for_interlaced_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = interlaced(tmp_path / "woven.mp4", 40)
    assert not is_decodable(path, "cuda", pictures=PictureOptions())
    assert is_decodable(path, "cuda", pictures=PictureOptions(deinterlace="off"))


def test_inner_window_is_a_window_of_the_window() -> None:
    assert inner_window((0, 0.25, 1, 0.75), (0.5, 0, 1, 0.5)) == (0.5, 0.25, 1, 0.5)
    assert inner_window((0, 0, 1, 1), (0.1, 0.2, 0.3, 0.4)) == pytest.approx((0.1, 0.2, 0.3, 0.4))
