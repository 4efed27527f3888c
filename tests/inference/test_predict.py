"""One pass over chunks equals the whole video at once."""

import contextlib
import copy
import dataclasses
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from e2espot.core.timeline import parse_fps
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import score_frames, stream_ball_maps, stream_features
from e2espot.inference.streaming_head import window_starts
from e2espot.models import Spotter, SpotterSpec, normalise
from e2espot.models.ball_smoothing import smoothed_maps
from e2espot.models.spotter import mean_pixel
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.streaming.temporal_cache import StreamingMotion
from e2espot.models.temporal_shift import GateShift
from tests.support.budget import LONG
from tests.support.lite import hear_the_image_network


def spotter_of(arch: str, clip_len: int = 20) -> Spotter:
    torch.manual_seed(0)
    spotter = Spotter(SpotterSpec(feature_arch=arch, temporal_arch="gru", classes=("PASS", "DRIVE"), clip_len=clip_len))
    for layer in spotter.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight)
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(layer.running_var, 0.5, 2.0)
            torch.nn.init.normal_(layer.running_mean, 0.0, 0.1)
            if layer.affine:
                torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
                torch.nn.init.normal_(layer.bias, 0.0, 0.1)
    hear_the_image_network(spotter.backbone)
    return spotter.eval()


OPTIONS = InferenceOptions(precision="fp32")


ARCHS = ["small_gsm", "lite_gsm", "small_tsm", "small", "rny002_gsm", "rny002_tsm", "rny002"]
ARCHS += ["rny008_gsm"] if LONG else []  # the layers of rny002_gsm, wider


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
def test_backbone_stream_equals_whole_video_for_any_piece_len(arch: str) -> None:
    spotter = spotter_of(arch).double()  # double precision, so that rounding cannot hide a wrong frame
    halo = spotter.halo
    levels = 255 * torch.rand(24 + 2 * halo, 32, 64, 3, dtype=torch.float64)
    levels[:halo] = levels[24 + halo :] = mean_pixel(levels.device)
    frames = normalise(levels, torch.float64)
    with torch.inference_mode():
        whole = spotter.features(frames[None]).features_BTD[0, halo : halo + 24]
        for piece_len in (1, 7, 17, 512):
            stream = BackboneStream(spotter.backbone, torch.float64)
            pieces = torch.cat([stream.forward_chunk(piece) for piece in levels.split(piece_len)])
            assert pieces.shape == whole.shape
            assert ((pieces - whole).abs().max() / whole.abs().max()) < 1e-6, piece_len


@pytest.mark.parametrize("arch", ["rn18_gsm", "rn18_tsm", "rn50"])
def test_backbone_stream_of_resnet_equals_whole_video(arch: str) -> None:
    spotter = spotter_of(arch).double()
    halo = spotter.halo
    levels = 255 * torch.rand(9 + 2 * halo, 32, 32, 3, dtype=torch.float64)
    levels[:halo] = levels[9 + halo :] = mean_pixel(levels.device)
    frames = normalise(levels, torch.float64)
    with torch.inference_mode():
        whole = spotter.features(frames[None]).features_BTD[0, halo : halo + 9]
        for piece_len in (2, 7):
            stream = BackboneStream(spotter.backbone, torch.float64)
            pieces = torch.cat([stream.forward_chunk(piece) for piece in levels.split(piece_len)])
            assert ((pieces - whole).abs().max() / whole.abs().max()) < 1e-6, piece_len


@pytest.mark.parametrize("arch", ["rny002", "rn18", "small"])
def test_stream_features_of_gray_backbone_equal_whole_video(arch: str) -> None:
    spotter = Spotter(dataclasses.replace(spotter_of("rny002").spec, feature_arch=arch, modality="gray")).eval()
    frames = torch.randint(0, 256, (5, 48, 64, 3), dtype=torch.uint8)
    gray = frames.float() @ torch.tensor((0.2989, 0.587, 0.114))
    with torch.inference_mode():
        features = torch.cat(list(stream_features(spotter, [frames], OPTIONS)))
        whole = spotter.features(normalise(frames)[None]).features_BTD[0]
        # Beyond the ends of a match are empty frames, to which the small backbone sees motion.
        torch.testing.assert_close(features[1:-1], whole[1:-1], rtol=1e-3, atol=1e-3)
        colourless = spotter.features(normalise(gray[..., None].expand(frames.shape))[None]).features_BTD[0]
    if arch != "small":  # it computes luma after the normalisation of each colour
        torch.testing.assert_close(features, colourless, rtol=1e-3, atol=1e-3)


def test_score_frames_crops_centre_if_crop_dim_is_set() -> None:
    whole = spotter_of("rny002")
    cropping = Spotter(dataclasses.replace(whole.spec, crop_dim=40)).eval()
    cropping.load_state_dict(whole.state_dict())
    frames = torch.randint(0, 256, (5, 48, 64, 3), dtype=torch.uint8)
    assert np.array_equal(
        score_frames(cropping, [frames], 5, OPTIONS), score_frames(whole, [frames[:, 4:44, 12:52]], 5, OPTIONS)
    )


@pytest.mark.parametrize("arch", ARCHS)
def test_stream_features_equal_whole_video_for_any_chunk_len(arch: str) -> None:
    spotter = spotter_of(arch)
    frames = torch.randint(0, 256, (40, 64, 96, 3), dtype=torch.uint8)
    halo = spotter.halo
    padded = torch.cat((torch.zeros(halo, 3, 64, 96), normalise(frames), torch.zeros(halo, 3, 64, 96)))
    with torch.inference_mode():
        whole = spotter.features(padded[None]).features_BTD[0, halo : halo + 40]
        for chunk_len in (8, 33, 512):
            chunked = torch.cat(list(stream_features(spotter, frames.split(chunk_len), OPTIONS)))
            assert ((chunked - whole).abs().max() / whole.abs().max()) < 1e-4, chunk_len


@pytest.mark.parametrize("arch", ["small_gsm", "rny002_gsm"])
def test_stream_features_pass_every_frame_through_backbone_once(arch: str) -> None:
    spotter, seen = spotter_of(arch), []
    stream = BackboneStream.forward_chunk

    def counted(self: BackboneStream, piece: torch.Tensor) -> torch.Tensor:
        seen.append(len(piece))
        return stream(self, piece)

    frames = torch.randint(0, 256, (300, 32, 32, 3), dtype=torch.uint8)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(BackboneStream, "forward_chunk", counted)
        assert sum(map(len, stream_features(spotter, frames.split(64), OPTIONS))) == 300
    assert sum(seen) == 300 + 2 * spotter.halo  # with the padding at both ends


@pytest.mark.parametrize("arch", ["small_gsm", "small_tsm", "rny002_gsm", "rny002_tsm", "rn18_gsm", "rn50"])
def test_backbone_stream_stays_on_device_of_weights(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's device without memory, mixing in a CPU tensor is an error."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _kind: False)  # neither of the two supports that device
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    stream = BackboneStream(spotter_of(arch).to("meta").backbone, torch.bfloat16)
    with torch.inference_mode():
        for _ in range(3):
            features = stream.forward_chunk(torch.empty(16, 64, 96, 3, dtype=torch.uint8, device="meta"))
    assert features.device.type == "meta" and features.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_padding_normalises_to_zero(dtype: torch.dtype) -> None:
    padding = mean_pixel(torch.device("cpu")).expand(4, 8, 8, 3)
    assert not normalise(padding, dtype).any()
    motion = StreamingMotion(spotter_of("small_gsm").backbone, dtype)
    seen = motion(padding)
    assert seen is not None and seen[:, 3:].abs().max() < 1e-5
    stem = torch.nn.Conv2d(5, 4, 3, bias=False).requires_grad_(False).double()
    assert motion.adapt_stem(stem)(seen.double()).abs().max() < 2e-3


def test_score_frames_is_independent_of_chunk_len() -> None:
    spotter = spotter_of("small_gsm")
    frames = torch.randint(0, 256, (77, 64, 96, 3), dtype=torch.uint8)
    one = score_frames(spotter, frames.split(77), 77, OPTIONS)
    many = score_frames(spotter, frames.split(9), 77, OPTIONS)
    assert one.shape == (77, 2)
    assert abs(one - many).max() < 1e-5


@pytest.mark.parametrize(("look_ahead", "block"), [(None, 12), (0.4, 0)])
def test_score_frames_pool_under_the_smoothed_map_of_the_ball(look_ahead: float | None, block: int) -> None:
    spotter = spotter_of("lite_gsm")
    spotter.spec = dataclasses.replace(spotter.spec, fps="12.5", smooth_ball=True)
    spotter.fps = parse_fps("12.5")
    frames = torch.randint(0, 256, (61, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    plain = copy.copy(spotter)
    plain.spec = dataclasses.replace(spotter.spec, smooth_ball=False)
    raw_THW = torch.cat(list(stream_ball_maps(plain, [frames], OPTIONS)))
    options = dataclasses.replace(OPTIONS, look_ahead=look_ahead)
    scores = score_frames(spotter, [frames], 61, options)
    assert np.abs(scores - score_frames(plain, [frames], 61, options)).max() > 1e-5
    for chunk_len in (7, 33):
        maps = list(stream_ball_maps(spotter, frames.split(chunk_len), options))
        torch.testing.assert_close(torch.cat(maps), smoothed_maps(raw_THW, 12.5, block), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(score_frames(spotter, frames.split(chunk_len), 61, options), scores, atol=1e-5)


def test_score_frames_with_flip_averages_both_views() -> None:
    spotter = spotter_of("small_gsm")
    frames = torch.randint(0, 256, (50, 64, 96, 3), dtype=torch.uint8)
    one, other = (score_frames(spotter, view.split(16), 50, OPTIONS) for view in (frames, frames.flip(2)))
    both = score_frames(spotter, frames.split(16), 50, InferenceOptions(precision="fp32", flip=True))
    assert abs(both - (one + other) / 2).max() < 1e-6
    assert abs(one - other).max() > 1e-3


@pytest.mark.parametrize("flip", [False, True])
def test_score_frames_releases_chunks(flip: bool) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def chunks() -> Iterator[torch.Tensor]:
        nonlocal most
        for _ in range(60):
            chunk = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
            alive.append(weakref.ref(chunk))
            yield chunk
            del chunk
            most = max(most, sum(reference() is not None for reference in alive))

    score_frames(spotter_of("small_gsm"), chunks(), 480, InferenceOptions(precision="fp32", flip=flip))
    assert most <= 2


def test_score_frames_of_video_shorter_than_one_window() -> None:
    spotter = spotter_of("small_gsm", clip_len=100)
    frames = torch.randint(0, 256, (7, 64, 96, 3), dtype=torch.uint8)
    assert score_frames(spotter, [frames], 7, OPTIONS).shape == (7, 2)


def test_window_starts_cover_every_frame_and_stay_inside() -> None:
    for num_frames in (1, 5, 99, 100, 101, 149, 150, 1000):
        for clip_len in (1, 2, 64, 100):
            clip_len = min(clip_len, num_frames)
            starts = window_starts(num_frames, clip_len)
            covered = {f for s in starts for f in range(s, s + clip_len)}
            assert covered == set(range(num_frames))
            assert starts == sorted(set(starts))
