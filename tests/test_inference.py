"""One pass over chunks gives what the whole video at once gives."""

import pytest
import torch

from e2espot.inference import InferenceOptions, score_frames, stream_features, window_starts
from e2espot.models import Spotter, SpotterSpec, normalise
from e2espot.models.gate_shift import GateShift


def spotter_of(arch: str, clip_len: int = 20) -> Spotter:
    torch.manual_seed(0)
    spotter = Spotter(SpotterSpec(feature_arch=arch, temporal_arch="gru", classes=("PASS", "DRIVE"), clip_len=clip_len))
    for layer in spotter.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight)
    return spotter.eval()


OPTIONS = InferenceOptions(precision="fp32")


@pytest.mark.parametrize("arch", ["small_gsm", "rny002_gsm", "small"])
def test_chunks_equal_the_whole_video(arch: str) -> None:
    spotter = spotter_of(arch)
    frames = torch.randint(0, 256, (90, 64, 96, 3), dtype=torch.uint8)
    halo = spotter.halo
    padded = torch.cat((torch.zeros(halo, 3, 64, 96), normalise(frames), torch.zeros(halo, 3, 64, 96)))
    with torch.inference_mode():
        whole = spotter.features(padded[None]).features_BTD[0, halo : halo + 90]
        for chunk_len in (8, 33, 64, 512):
            chunked = torch.cat(list(stream_features(spotter, frames.split(chunk_len), OPTIONS)))
            scale = whole.abs().max()
            assert ((chunked - whole).abs().max() / scale) < 1e-5, chunk_len


def test_scores_do_not_depend_on_chunks() -> None:
    spotter = spotter_of("small_gsm")
    frames = torch.randint(0, 256, (77, 64, 96, 3), dtype=torch.uint8)
    one = score_frames(spotter, frames.split(77), 77, OPTIONS)
    many = score_frames(spotter, frames.split(9), 77, OPTIONS)
    assert one.shape == (77, 2)
    assert abs(one - many).max() < 1e-5


def test_short_video_is_one_short_window() -> None:
    spotter = spotter_of("small_gsm", clip_len=100)
    frames = torch.randint(0, 256, (7, 64, 96, 3), dtype=torch.uint8)
    assert score_frames(spotter, [frames], 7, OPTIONS).shape == (7, 2)


def test_windows_cover_every_frame_and_stay_inside() -> None:
    for num_frames in (1, 5, 99, 100, 101, 149, 150, 1000):
        for clip_len in (1, 2, 64, 100):
            clip_len = min(clip_len, num_frames)
            starts = window_starts(num_frames, clip_len)
            covered = {f for s in starts for f in range(s, s + clip_len)}
            assert covered == set(range(num_frames))
            assert starts == sorted(set(starts))
