"""Features of videos: the right picture in every row, complete files, and datasets that stay datasets."""

import json
import os
import shutil
import time
from email.message import Message
from fractions import Fraction
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from e2espot.cli.features import main
from e2espot.core.errors import CheckpointError, ConfigurationError, E2ESpotError, VideoError
from e2espot.features.backbones import ImageExtractor, load_extractor
from e2espot.features.pca import read_pca
from e2espot.formats.feature_files import open_features
from e2espot.formats.games import find_games
from e2espot.video import open_reader
from tests.support.numbered_video import constant, write

NETWORK = "timm:test_resnet"
RANDOM = ("--backbone", NETWORK, "--weights", "none", "--precision", "fp32", "--device", "cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds; picture i shows the number i."""
    return write(tmp_path_factory.mktemp("extract") / "a", constant(Fraction(25), 100))


def features(*words: object) -> None:
    main([*map(str, words)])


def expected_rows(video: Path, pictures: list[int], transform: str = "crop") -> np.ndarray:
    extractor = load_extractor(
        NETWORK,
        weights="none",
        transform=transform,  # type: ignore[arg-type]
        device=torch.device("cpu"),
        precision="fp32",
    )
    with open_reader(video, fps=Fraction(25), size=extractor.decoded_size((160, 96))) as reader:
        pictures_NHWC = torch.from_numpy(reader.read(pictures))
    with torch.inference_mode():
        return extractor.rows(pictures_NHWC).numpy()


@pytest.mark.parametrize(
    ("options", "pictures"),
    [
        ((), [6, 18, 31, 43, 56, 68, 81, 93]),
        (("--grid", "soccernet"), [12, 24, 37, 49, 62, 74, 87, 99]),
        (("--rate", "1", "--grid", "soccernet", "--transform", "resize"), [24, 49, 74, 99]),
        (("--start", "1", "--duration", "2", "--transform", "resize256crop224"), [31, 43, 56, 68]),
    ],
)
def test_rows_show_the_pictures_of_their_grid(
    video: Path, tmp_path: Path, options: tuple[str, ...], pictures: list[int]
) -> None:
    features(video, "-o", tmp_path, *RANDOM, "--name", "net", *options)
    file = open_features(tmp_path / "a_net.npy")
    transform = options[options.index("--transform") + 1] if "--transform" in options else "crop"
    np.testing.assert_allclose(file.read(), expected_rows(video, pictures, transform), atol=1e-5)
    fields = json.loads((tmp_path / "a_net.json").read_text())
    assert fields["first_row_s"] == pictures[0] / 25
    assert (fields["rows"], fields["backbone"], fields["source_pictures"]) == (len(pictures), NETWORK, 100)
    assert file.known_rate == Fraction(fields["rate"])


@pytest.fixture
def dataset(video: Path, tmp_path: Path) -> Path:
    """A game of two halves, one of a single half, and their splits."""
    for game, halves in (("x", (1, 2)), ("y", (1,))):
        for half in halves:
            (tmp_path / "data" / game).mkdir(parents=True, exist_ok=True)
            shutil.copy(video, tmp_path / "data" / game / f"{half}_224p.mp4")
        (tmp_path / "data" / game / "Labels-v2.json").write_text('{"annotations": []}')
    (tmp_path / "data" / "splits.json").write_text('{"train": ["x"], "test": ["y"]}')
    return tmp_path / "data"


def test_a_dataset_of_features_is_a_dataset_and_resumes(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "feats"
    features(dataset, "-s", "train", "-o", out, *RANDOM, "--half_precision")
    features(dataset, "-o", out, *RANDOM, "--half_precision", "--resume")
    printed = capsys.readouterr().out
    assert "1 of 2 games have these features already" in printed
    (game,) = find_games(out, split="train", resolution="test_resnet", label_file="Labels-v2.json")
    assert [video.path.name for video in game.videos] == ["1_test_resnet.npy", "2_test_resnet.npy"]
    assert game.labels_path is not None
    assert open_features(game.videos[0].path).dtype == np.float16
    assert len(find_games(out, resolution="test_resnet")) == 2
    features(dataset, "-s", "test", "-o", out, *RANDOM, "--resume")  # of another kind: single precision
    assert open_features(out / "y" / "1_test_resnet.npy").dtype == np.float32
    with pytest.raises(ConfigurationError, match=r"no 1_other.npy, .* it has test_resnet$"):
        find_games(out, split="train", resolution="other")


def test_pca_is_fitted_on_all_files_and_applied_alike_later(dataset: Path, tmp_path: Path) -> None:
    out, pca = tmp_path / "feats", tmp_path / "pca.npz"
    features(dataset, "-o", out, *RANDOM, "--pca", "4", "--pca_fit", pca)
    raw = np.concatenate([open_features(path).read() for path in sorted(out.glob("*/*_test_resnet.npy"))])
    fitted = read_pca(pca)
    np.testing.assert_allclose(fitted.mean_D, raw.mean(axis=0), atol=1e-5)
    projected = open_features(out / "x" / "1_test_resnet_PCA4.npy")
    np.testing.assert_allclose(projected.read(), fitted.project(raw[:8]), atol=1e-4)
    assert projected.kind.name == "test_resnet_PCA4"
    features(dataset / "x" / "1_224p.mp4", "-o", tmp_path, *RANDOM, "--pca", pca)
    later = open_features(tmp_path / "1_224p_test_resnet_PCA4.npy")
    np.testing.assert_allclose(later.read(), projected.read(), atol=1e-4)
    assert later.kind.origin == projected.kind.origin
    assert pca.with_suffix(".svg").read_text().startswith("<svg")
    with pytest.raises(ConfigurationError, match="exists"):
        features(dataset, "-o", out, *RANDOM, "--pca", "4", "--pca_fit", pca)


def test_a_list_of_videos_becomes_a_list_of_features(video: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    shutil.copy(video, tmp_path / "own" / "derby.mp4")
    (tmp_path / "own" / "derby.json").write_text('{"annotations": []}')
    features(tmp_path / "own", "-o", tmp_path / "feats", *RANDOM)
    (game,) = find_games(tmp_path / "feats")
    assert (game.name, game.videos[0].path.name) == ("derby", "test_resnet.npy")
    assert game.labels_path == tmp_path / "own" / "derby.json"


def test_weights_files_must_fit_the_network(tmp_path: Path, video: Path) -> None:
    import timm

    network = timm.create_model("test_resnet")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    options = ("--backbone", NETWORK, "--device", "cpu", "--weights", tmp_path / "w.pth")
    features(video, "-o", tmp_path, *options)
    assert json.loads((tmp_path / "a_test_resnet.json").read_text())["weights"].startswith("sha256 ")
    with pytest.raises(CheckpointError, match="another network"):
        features(video, "-o", tmp_path, "--backbone", "timm:test_vit", *options[2:])
    (tmp_path / "w.pth").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        features(video, "-o", tmp_path, *options)


BAD = {
    "a cache without an end": (("--cache_gb", "inf"), "cache_gb is inf"),
    "no CPU": (("--task_cpus", "0"), "at least 1 CPU"),
    "no such backbone": (("--backbone", "resnet999"), "similar: resnet"),
    "library": (("--backbone", "keras:resnet152"), "give timm:NAME"),
    "rate": (("--rate", "0"), "above 0"),
    "start": (("--start", "soon"), "give seconds"),
    "after the end": (("--start", "1:00"), "holds no row"),
    "more rows than pictures": (("--grid", "soccernet", "--rate", "50"), "at most"),
    "more components than values": (("--pca", "999", "--pca_fit", "p.npz"), "rows of [0-9]+ values; give at most"),
    "no such PCA": (("--pca", "missing.npz"), "no such file"),
    "components without a file": (("--pca", "8"), "file to write"),
    "file without components": (("--pca_fit", "p.npz"), "number of components"),
    "reader": (("--reader", "dali"), "choose auto or decord"),
    "pickle": (("--pca", "p.pkl"), "can run code"),
    "name": (("--name", "../a"), "give letters"),
}


@pytest.mark.parametrize("case", BAD)
def test_features_refuses_bad_options_and_leaves_nothing(video: Path, tmp_path: Path, case: str) -> None:
    options, message = BAD[case]
    with pytest.raises(E2ESpotError, match=message) as raised:
        features(video, "-o", tmp_path / "out", *RANDOM, *options)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("rate", "count", "grid", "message"),
    [
        (25, 2, "middle", r"lasts 0\.08 s, which holds no row"),  # too short for a row
        (1, 5, "soccernet", "the video has 1 a second"),  # of too low a rate for the grid
    ],
)
def test_a_video_without_features_costs_itself_alone(
    video: Path, tmp_path: Path, rate: int, count: int, grid: str, message: str
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write(folder / "a", constant(Fraction(rate), count))
    (folder / f"b{video.suffix}").symlink_to(video)
    with pytest.raises(VideoError, match=f"1 of 2 games have no features: .*{message}"):
        features(folder, "-o", tmp_path / "out", "--grid", grid, *RANDOM)
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.npy")] == ["b"]


def test_reader_is_refused_before_weights_are_asked_for(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked for weights")

    monkeypatch.setattr("e2espot.features.backbones.load_extractor", asked)
    with pytest.raises(ConfigurationError, match="choose auto or decord"):
        features(video, "-o", tmp_path, "--backbone", "resnet18", "--reader", "dali")


def test_features_need_a_folder(video: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a file; name a folder") as raised:
        features(video, "-o", video, *RANDOM)
    assert raised.value.option == "out"


def test_a_broken_video_leaves_no_features(video: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(video.read_bytes()[:2000])
    with pytest.raises(VideoError):
        features(tmp_path / "broken.mp4", *RANDOM)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no space left"), "no space left"),
        (LocalEntryNotFoundError("An error happened while trying to locate"), "their server cannot be reached"),
        (URLError("name resolution"), "their server cannot be reached"),
        (HTTPError("https://host", 404, "Not Found", Message(), None), "404"),
    ],
)
def test_missing_pretrained_weights_are_an_error(
    error: Exception, reason: str, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    def unreachable(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ConfigurationError, match=f"{reason}.*connect to the internet once") as raised:
        features(video, "-o", tmp_path, "--backbone", NETWORK)
    assert raised.value.option == "weights"
    assert not list(tmp_path.iterdir())


def test_two_runs_into_one_folder_do_not_disturb_each_other(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, out = ImageExtractor.rows, tmp_path / "both"
    starts = [True]

    def rows(extractor: ImageExtractor, pictures_NHWC: torch.Tensor) -> torch.Tensor:
        if starts and starts.pop():  # the second run begins and ends while the first one has rows to come
            features(video, "-o", out, *RANDOM)
        return compute(extractor, pictures_NHWC)

    monkeypatch.setattr(ImageExtractor, "rows", rows)
    out.mkdir()
    features(video, "-o", out, *RANDOM)
    features(video, "-o", tmp_path / "alone", *RANDOM)
    assert {path.name for path in out.iterdir()} == {"a_test_resnet.npy", "a_test_resnet.json"}
    for name in ("a_test_resnet.npy", "a_test_resnet.json"):
        assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_arrays_that_a_killed_run_left_go_after_a_day(video: Path, tmp_path: Path) -> None:
    for name, age_s in (("old", 90_000), ("new", 60)):
        part = tmp_path / f".a_test_resnet.npy.{name}.rows.part"
        part.write_bytes(b"")
        os.utime(part, (time.time() - age_s,) * 2)
    features(video, "-o", tmp_path, *RANDOM)
    assert [path.name for path in tmp_path.glob(".*")] == [".a_test_resnet.npy.new.rows.part"]


def test_backbone_of_a_run_gives_the_features_that_its_head_sees(video: Path, tmp_path: Path) -> None:
    from e2espot.inference.options import InferenceOptions
    from e2espot.inference.predict import frames_of_video, stream_features
    from e2espot.models.spotter import Spotter, SpotterSpec
    from e2espot.models.weights.checkpoint import load_spotter, save_spotter

    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("A",), clip_len=16, fps="5", width=64, height=48
    )
    save_spotter(tmp_path / "run" / "best.safetensors", Spotter(spec).state_dict(), spec)
    features(video, "-o", tmp_path, "--backbone", tmp_path / "run", "--device", "cpu", "--precision", "fp32")
    spotter, options = load_spotter(tmp_path / "run"), InferenceOptions(precision="fp32")
    with torch.inference_mode():
        rows = torch.cat(list(stream_features(spotter, frames_of_video(spotter, video, options, []), options)))
    file = open_features(tmp_path / "a_run.npy")
    np.testing.assert_allclose(file.read(), rows.numpy(), atol=1e-6)
    assert file.known_rate == 5
    with pytest.raises(ConfigurationError, match="sees 5 frames"):
        features(video, "-o", tmp_path, "--backbone", tmp_path / "run", "--rate", "2")
