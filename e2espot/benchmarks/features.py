"""Features: extraction from a match file, training NetVLAD++ on them, and its scores of a whole half.

Compared with the plain way to do the same: OpenCV's reader, torchvision's transforms and batches of 64 in fp32; a
DataLoader over arrays that were loaded whole; one window after the other. Networks have random weights, which cost the
same.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from e2espot.benchmarks.results import BenchResults, Row, Target
from e2espot.benchmarks.scaling import repeat_video
from e2espot.benchmarks.timing import InProcess, Subprocess, Work, interleaved
from e2espot.core.device import reuse_freed_memory
from e2espot.models.feature_heads.pooling import NetVlad, PoolHead

_RATE = Fraction(2)
_ROWS, _DIM, _WINDOW, _BATCH = 5400, 2048, 30, 256
"""A half of 45 minutes at two rows a second, and NetVLAD++'s window and batch."""
_STEPS = 6
_NAIVE_ROWS = 512
"""Rows of the half that the plain loop over windows scores."""


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """What is run."""

    minutes: float = 10.0
    """Length of the match whose features are extracted."""
    long_minutes: float = 90.0
    """Length of the match that shows how memory grows."""
    backbones: tuple[str, ...] = ("regnety_008", "resnet152")
    """Networks of timm, fastest first; the first one extracts the long match too."""
    num_halves: int = 40
    """Halves that NetVLAD++ is trained on."""
    repeats: int = 3
    """Measured rounds of training and of scoring; a match is extracted once, and its rows are averaged."""


PrintLine = Callable[[str], None]
"""Called with a line for each measurement as soon as it is known."""


def bench_features(
    video: Path, folder: Path, settings: FeatureSettings, print_line: PrintLine
) -> Iterator[BenchResults]:
    """All comparisons, the short ones first, each as soon as it is measured.

    Args:
        video: A short match at 224p; it is repeated to the length that is asked for.
        folder: For files that are written.
        settings: What is run.
        print_line: Called with a line for each measurement.
    """
    folder.mkdir(parents=True, exist_ok=True)
    yield _training(stand_in_dataset(folder / "features", settings.num_halves), settings, print_line)
    yield _scoring(settings, print_line)
    match = _match(video, folder / "match.mp4", settings.minutes)
    for backbone in settings.backbones:
        table = interleaved(
            f"features of {settings.minutes:g} minutes of 224p at two rows a second, {backbone}: file to npy",
            "row",
            [
                Subprocess("OpenCV, torchvision, fp32, batches of 64", plain_extraction, match, backbone),
                Subprocess("e2espot features", extraction, match, backbone),
            ],
            1,
            warm_up=False,
            print_line=print_line,
        )
        target = _faster(f"features of {backbone}", "a plain loop", 3, table.ratio("OpenCV", "e2espot"))
        yield BenchResults(tables=[table], targets=[target])
    long = _match(video, folder / "long.mp4", settings.long_minutes)
    title = f"features of {settings.long_minutes:g} minutes, {settings.backbones[0]}"
    only = Subprocess("e2espot features", extraction, long, settings.backbones[0])
    table = interleaved(title, "row", [only], 1, warm_up=False, print_line=print_line)
    yield BenchResults(tables=[table], targets=[_memory(title, "the file's length", 1500, table.rows[0])])


def _training(dataset: Path, settings: FeatureSettings, print_line: PrintLine) -> BenchResults:
    table = interleaved(
        f"training NetVLAD++ on {settings.num_halves} halves of {_DIM} values a row, batches of {_BATCH} windows",
        "window",
        [
            Subprocess("DataLoader over arrays loaded whole, fp32", plain_training, dataset),
            Subprocess("e2espot train", training_steps, dataset),
        ],
        settings.repeats,
        print_line=print_line,
    )
    return BenchResults(
        tables=[table],
        targets=[
            _faster("training on features", "a plain loop", 5, table.ratio("DataLoader", "e2espot")),
            _memory("training on features", "the size of the dataset", 1000, table["e2espot"]),
        ],
    )


def _scoring(settings: FeatureSettings, print_line: PrintLine) -> BenchResults:
    half = interleaved(
        f"NetVLAD++ over a half of {_ROWS} rows",
        "row",
        [
            InProcess(name="window by window", work=partial(_windows_in_turn, 1)),
            InProcess(name="256 windows at a time, as SoccerNet's kit", work=partial(_windows_in_turn, 256)),
            InProcess(name="e2espot", work=_whole_half),
        ],
        settings.repeats,
        print_line=print_line,
    )
    target = _faster("scores of a half", "window by window", 20, half.ratio("window", "e2espot"))
    return BenchResults(tables=[half], targets=[target])


def _match(video: Path, target: Path, minutes: float) -> Path:
    return repeat_video(video, target, max(1, round(minutes * 60 / _seconds(video))))


def _memory(what: str, baseline: str, most_mb: float, row: Row) -> Target:
    return Target(
        what=f"peak memory, {what}",
        baseline=baseline,
        target=f"under {most_mb:,.0f} MB",
        most=most_mb,
        unit="MB",
        measured=row.peak_mb or 0,
    )


def _faster(what: str, baseline: str, least: float, measured: float) -> Target:
    return Target(what=what, baseline=baseline, target=f"{least:g}x", least=least, measured=measured)


def _seconds(video: Path) -> float:
    from e2espot.video import probe

    return float(probe(video).duration_s)


def extraction(match: Path, backbone: str) -> Work:
    """The extraction of this package."""
    from e2espot.core.device import parse_device
    from e2espot.features.backbones import load_extractor
    from e2espot.features.extract import ExtractionJob, extract_video
    from e2espot.features.grid import RowGrid
    from e2espot.formats.game import Video
    from e2espot.inference.options import InferenceOptions
    from e2espot.sources.remote import default_cache

    reuse_freed_memory()
    folder = Path(tempfile.mkdtemp(dir=match.parent))
    job = ExtractionJob(
        extractor=load_extractor(f"timm:{backbone}", weights="none", transform="crop", device=parse_device("cpu")),
        grid=RowGrid(rate=_RATE, rule="soccernet"),
        name=backbone,
        pca=None,
        half_precision=False,
        options=InferenceOptions(adapt="none"),
        cache=default_cache(),
        targets={("match", 1): folder / "match.npy"},
    )
    return lambda: extract_video(job, Video(game="match", half=1, path=match)).num_rows


def plain_extraction(match: Path, backbone: str) -> Work:
    """A plain loop over the same pictures."""
    import cv2
    import timm
    from torchvision import transforms

    cv2.setNumThreads(1)
    network = timm.create_model(backbone, num_classes=0).eval()
    prepare = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.Resize(224),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def work() -> int:
        capture: Any = cv2.VideoCapture(str(match))
        step = capture.get(cv2.CAP_PROP_FPS) / float(_RATE)
        rows, waiting, count = [], [], 0
        with torch.inference_mode():
            while True:
                known, picture = capture.read()
                if known:
                    count += 1
                    if count % step < 1:
                        waiting.append(prepare(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
                if waiting and (len(waiting) == 64 or not known):
                    rows.append(network(torch.stack(waiting)).numpy())
                    waiting = []
                if not known:
                    break
        features = np.concatenate(rows)
        np.save(match.with_suffix(".plain.npy"), features)
        return len(features)

    return work


def stand_in_dataset(root: Path, num_halves: int) -> Path:
    """Features of random numbers with labels at random times, as a dataset of one game for each two halves."""
    from e2espot.core.label_sets import LABEL_SETS
    from e2espot.formats.filenames import SPLITS_FILE, V2_LABEL_FILE

    rng = np.random.default_rng(0)
    names = LABEL_SETS["soccernet-v2-17"].names
    games = []
    for number in range((num_halves + 1) // 2):
        game = root / f"game{number:03}"
        game.mkdir(parents=True, exist_ok=True)
        games.append(game.name)
        labels = []
        for half in (1, 2):
            np.save(game / f"{half}_ResNET_TF2.npy", rng.random((_ROWS, _DIM), dtype=np.float32))
            for second in sorted(rng.choice(_ROWS // 2, 100, replace=False).tolist()):
                clock = f"{half} - {second // 60:02d}:{second % 60:02d}"
                label = names[int(rng.integers(len(names)))]
                labels.append({"gameTime": clock, "label": label, "position": str(1000 * second), "team": "home"})
        (game / V2_LABEL_FILE).write_text(json.dumps({"UrlLocal": game.name, "annotations": labels}))
    (root / SPLITS_FILE).write_text(json.dumps({"train": games, "valid": games[:1]}))
    return root


def training_steps(dataset: Path) -> Work:
    """Optimizer steps of this package, with everything that a run does between them."""
    from e2espot.training.config import resolve
    from e2espot.training.options import RunOptions
    from e2espot.training.recipe import Recipe, merge, read_recipe
    from e2espot.training.setup import setup
    from e2espot.training.step import take_step

    recipe = merge(Recipe(), {**read_recipe("v2-netvladpp"), "features": "ResNET_TF2"})
    run = setup(resolve(recipe, dataset, Path(tempfile.mkdtemp(dir=dataset.parent)) / "run", RunOptions(device="cpu")))
    batches = run.batches(0, 0)

    def work() -> int:
        for _ in range(_STEPS):
            take_step(run, next(batches))
        return _STEPS * _BATCH

    return work


class _LoadedWindows(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Windows of arrays in memory."""

    def __init__(self, dataset: Path) -> None:
        self._halves = [np.load(path) for path in sorted(dataset.glob("*/*_ResNET_TF2.npy"))]
        self._windows = [(half, start) for half in range(len(self._halves)) for start in range(0, _ROWS - 1, _WINDOW)]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        half, start = self._windows[index]
        target = torch.zeros(18)
        target[index % 18] = 1
        return torch.from_numpy(self._halves[half][start : start + _WINDOW]), target


class _PlainHead(PoolHead):
    """The same network as its formula reads, with the dropout of torch."""

    def forward(self, rows_BTD: Tensor) -> Tensor:
        """Logits of windows."""
        projected_BTD = self.project(rows_BTD)
        pooled = []
        for pool, part_BTD in zip(self.pools, projected_BTD.split(_WINDOW // 2, dim=1), strict=True):
            assert isinstance(pool, NetVlad)
            assert pool.centres_DK is not None
            unit_BTD = functional.normalize(part_BTD, dim=-1)
            share_BTK = (unit_BTD @ pool.words_DK).softmax(-1)
            sum_BDK = unit_BTD.transpose(1, 2) @ share_BTK - share_BTK.sum(1, keepdim=True) * pool.centres_DK
            pooled.append(functional.normalize(functional.normalize(sum_BDK, dim=1).flatten(1), dim=1))
        logits_BC: Tensor = self.classify(functional.dropout(torch.cat(pooled, dim=1), 0.4, self.training))
        return logits_BC


def plain_training(dataset: Path) -> Work:
    """The same network trained by a plain loop."""
    head = _PlainHead("netvlad++", _DIM, _WINDOW, 18)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    windows = _LoadedWindows(dataset)
    sampler = torch.utils.data.RandomSampler(windows, num_samples=_STEPS * _BATCH)  # over again where halves are few
    loader = torch.utils.data.DataLoader(windows, batch_size=_BATCH, sampler=sampler)

    def work() -> int:
        batches = iter(loader)
        for _ in range(_STEPS):
            rows_BTD, target_BK = next(batches)
            loss = functional.binary_cross_entropy(head(rows_BTD).sigmoid(), target_BK)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return _STEPS * _BATCH

    return work


@cache
def _half() -> tuple[PoolHead, Tensor]:
    torch.manual_seed(0)
    return PoolHead("netvlad++", _DIM, _WINDOW, 18).eval(), torch.rand(_ROWS, _DIM)


def _windows_in_turn(batch: int) -> int:
    """The first rows of a half, since every window costs the same."""
    head, rows_ND = _half()
    numbers = torch.arange(_WINDOW) - _WINDOW // 2
    with torch.inference_mode():
        for row in range(0, _NAIVE_ROWS, batch):
            head(rows_ND[(torch.arange(row, row + batch)[:, None] + numbers).clamp(0, _ROWS - 1)]).sigmoid()
    return _NAIVE_ROWS


def _whole_half() -> int:
    head, rows_ND = _half()
    with torch.inference_mode():
        head.match_scores(rows_ND)
    return _ROWS
