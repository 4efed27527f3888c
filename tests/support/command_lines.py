"""Valid command lines of every command, with its long work replaced."""

import importlib
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import fsspec
import numpy as np
import timm

_CREATE, _URL_TO_FS = timm.create_model, fsspec.url_to_fs


class LongWorkError(BaseException):
    """The command line is accepted and the long work would begin; not an Exception, so that no command catches it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command."""

    tool: str
    """Its name."""
    lines: tuple[str, ...]
    """Valid command lines, for ``shlex.split``; ``W`` is the sandbox, ``OUT`` the folder that may be written."""


COMMANDS = (
    Command(
        tool="infer",
        lines=(
            "W/run W/data/test/game/224p.mp4 -o OUT --device cpu --reader auto --flip --save_scores --table 5",
            "W/run W/data -o OUT -s test --resolution 224p --ensemble W/run --shard 1/1 --resume --device cpu "
            "--adapt none --size 64x32",
        ),
    ),
    Command(
        tool="train",
        lines=(
            "W/data -s OUT --recipe laptop-fast --device cpu --clip_len 16 --size 64x32 --batch_size 4 "
            "--epoch_clips 8 -j 0",
            "W/data --save_dir OUT --recipe W/odd/recipe.yaml --config W/odd/recipe.yaml -m small -t gru -lr 0.001 "
            "--size 64x32 --fps 12.5 --label_set ball-2 --bad_labels skip --reader auto --device cpu --resolution 224p "
            "--hard_negatives W/predictions --negative_fraction 0.2 --fold 1/3 --joint_data W/data "
            "--joint_label_set ball-2 --joint_label_file Labels-ball.json --init_from W/run --seed 3 -ag 2",
            "W/data -s OUT --resume --recipe laptop-fast --device cpu",
        ),
    ),
    Command(
        tool="evaluate",
        lines=(
            "W/predictions -l W/data -s test --label_file Labels-ball.json --label_set ball-2 --fps 25 "
            "--metric at1 tight --missing empty --json OUT/scores.json",
            "W/predictions --labels W/data --annotated 0:00-0:10 --json OUT/scores.json",
            "W/packed.zip --labels W/labels.zip --label_set W/odd/class.txt --missing empty",
        ),
    ),
    Command(
        tool="render",
        lines=(
            "OUT --games 3 --minutes 0.05 --seed 1 --valid_minutes 0.05 --test_minutes 0.1 --density 1 "
            "--resolution 224p --jobs 1",
        ),
    ),
    Command(tool="transcode", lines=("W/data/test/game/224p.mp4 OUT/new.mp4 --decode_friendly",)),
    Command(
        tool="convert",
        lines=(
            "labels W/data OUT/all.json --from soccernet --to opensportslab --label_file Labels-ball.json --overwrite",
            "labels W/data OUT/spot --from soccernet --to e2e-spot",
            "predictions W/predictions OUT/gar.json --from soccernet --to sn-gar --label_file Labels-ball.json",
            "checkpoint W/foreign OUT/run --epoch 3 --classes W/odd/class.txt --fps 25",
        ),
    ),
    Command(
        tool="download",
        lines=(
            "OUT --task ball-2025 --split train valid --resolution 224p 720p --source huggingface",
            "OUT --task v2 --split test --labels_only --source owncloud",
        ),
    ),
    Command(
        tool="submit",
        lines=(
            "W/results -o OUT/results.zip -s test --task ball-2023",
            "W/results.zip --out OUT/results.zip",
        ),
    ),
    Command(
        tool="folds",
        lines=(
            "W/data -s OUT --folds 3 --recipe laptop-fast --device cpu --clip_len 16 --size 64x32 --reader auto -j 0",
        ),
    ),
    Command(
        tool="report",
        lines=(
            "W/predictions W/packed.zip -l W/data -o OUT/report.html -s test --label_set ball-2 --fps 25 "
            "--tolerance 1 --examples 3 --missing empty --title Match",
            "W/predictions -l W/data -o OUT/report.html -v W/data -s test --resolution 224p --examples 1",
        ),
    ),
    Command(
        tool="review",
        lines=(
            "W/data -p W/predictions -l W/data -o OUT --port 0 --queue uncertain --label_set ball-2 -s test "
            "--threshold 0.2 --cache OUT/cache",
            "W/data/test/game/224p.mp4 -p W/predictions/test/game/results_spotting.json -o OUT "
            "--export_osl OUT/osl.json --export_dataset OUT/data --assume 0.5",
        ),
    ),
    Command(
        tool="bench",
        lines=(
            "decode W/data/test/game/224p.mp4 --clip_len 8 --num_clips 2 --repeats 1 --device cpu --json OUT/b.json",
            "all --feature_arch small_gsm --repeats 1",
            "real W/clips --run W/run --flip --device cpu --json OUT/b.json",
        ),
    ),
    Command(
        tool="ablations",
        lines=(
            "--out OUT --seeds 0 1 --seconds 20 --games 3 --minutes 0.1 --valid_minutes 0.1 --test_minutes 0.1 "
            "--arms 'our defaults' 'displacement 2'",
        ),
    ),
    Command(
        tool="loop",
        lines=(
            "-o OUT --data W/data --score_on test --rounds 1 --decisions 5 --assume 0.6 --seed 0 "
            "'--train=--mixup -j 0'",
            "-o OUT --matches 2 --minutes 0.1 --test_minutes 0.1",
        ),
    ),
    Command(
        tool="jitter",
        lines=(
            "-o OUT --data W/data --late 0.3 --spread 0.5 --bias 20 --seed 0 '--train=--mixup -j 0' --align ''",
            "-o OUT --matches 1 --minutes 0.1 --valid_minutes 0.1 --test_minutes 0.1",
        ),
    ),
    Command(
        tool="live",
        lines=(
            "W/run W/data/test/game/224p.mp4 -o OUT --replay --unpaced --latency 4 --threshold 0.3 --adapt none "
            "--device cpu --format json --kickoff 20:45:00",
            "W/run tcp://127.0.0.1:9 -o OUT --listen --give_up 3 --record OUT/match.mkv --flip --device cpu "
            "--latency none --video_stream 0",
        ),
    ),
    Command(
        tool="features",
        lines=(
            "W/data/test/game/224p.mp4 -o OUT --backbone W/run --device cpu --half_precision --resume",
            "W/data -o OUT -s test --backbone timm:test_resnet --weights none --rate 5 --grid soccernet "
            "--transform resize --start 0:00.5 --duration 1 --name net --pca 2 --pca_fit OUT/pca.npz --device cpu "
            "--shard 1/1 --reader auto --precision fp32",
        ),
    ),
    Command(
        tool="heads",
        lines=(
            "-o OUT --games 3 --minutes 0.1 --seed 1 --heads calf rows_gru --train='--num_epochs 1' "
            "--test_minutes 0.1 --device cpu",
        ),
    ),
    Command(
        tool="export",
        lines=(
            "W/run -o OUT/spotter --to onnx --chunk 16 --size 64x48",
            "W/run -o OUT/spotter --to openvino --check W/data/test/game/224p.mp4",
        ),
    ),
    Command(
        tool="clips",
        lines=(
            "W/predictions/test/game/results_spotting.json -v W/data/test/game/224p.mp4 -o OUT --before 0.5 "
            "--after 0.5 --classes PASS,DRIVE --min_confidence 0.5 --per_minute 2 --overwrite",
            "W/predictions -v W/data -o OUT --from soccernet --reel --resume --resolution 224p",
        ),
    ),
    Command(tool="controls", lines=("--out W/demo --seed 1",)),
    Command(tool="demo", lines=("--out OUT/demo --seed 1",)),
)


def arguments_of(line: str, world: Path, out: Path) -> list[str]:
    """Arguments of a command line, with real paths."""

    def real(word: str) -> str:
        if word == "OUT" or word.startswith("OUT/"):
            return str(out) + word.removeprefix("OUT")
        return str(world) + word.removeprefix("W") if word.startswith("W/") else word

    return [real(word) for word in shlex.split(line)]


def load(command: str) -> ModuleType:
    """The subcommand's module."""
    return importlib.import_module(f"e2espot.cli.{command}")


def _reached(*_: Any, **__: Any) -> Any:
    raise LongWorkError


def _made(name: str, *more: Any, pretrained: bool = False, **options: Any) -> Any:
    """Replaces creating a network: none whose weights would be downloaded."""
    if pretrained:
        raise LongWorkError
    return _CREATE(name, *more, **options)


def _store(url: str) -> Any:
    """Replaces opening a remote store; stores of this machine are opened."""
    if url.partition("://")[0] in ("s3", "gs", "http", "https", "hf"):
        raise LongWorkError
    return _URL_TO_FS(url)


def _scored(spotter: Any, _chunks: Any, num_frames: int, options: Any, **_: Any) -> np.ndarray:
    """Replaces the network's pass over a video; the video has been opened already."""
    from e2espot.video import choose_backend

    choose_backend(options.reader, "cpu")
    columns = len(spotter.label_set) + int(spotter.spec.team)
    return np.random.default_rng(0).uniform(0, 1, (num_frames * spotter.grid_factor, columns)).astype(np.float32)


def _fitted(run: Any) -> Any:
    """Replaces training: one clip is sampled, decoded and augmented, unless it is large."""
    width, height = run.recipe.data.frame_size()
    if run.recipe.sampling.clip_len * width * height < 1_000_000:
        run.dataset[0, 0]
        run.augmentation_params(0, (0,))
    raise LongWorkError


def _rendered(spec: Any, out: Path, tick: Any = None) -> None:
    """Replaces painting: only play is simulated, up to 50 frames."""
    from e2espot.synthetic.match import simulate_game

    simulate_game(replace(spec, frames=min(spec.frames, 50)))
    raise LongWorkError


class _InProcessPool:
    """Replaces a pool of processes: the same work in this process."""

    def __init__(self, processes: int, maxtasksperchild: int | None = None) -> None:
        assert processes >= 1

    def __enter__(self) -> "_InProcessPool":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def imap_unordered(self, work: Callable[[Any], Any], jobs: list[Any]) -> Iterator[Any]:
        return map(work, jobs)


def _bench() -> Iterator[Any]:
    from e2espot.benchmarks import decode, infer, kernels, roofline, scaling, scoring, startup, train
    from e2espot.benchmarks.results import BenchResults

    functions = {
        decode: ("bench_decode",),
        scaling: ("bench_scaling",),
        infer: ("bench_infer",),
        kernels: ("bench_kernels",),
        roofline: ("bench_roofline",),
        scoring: ("bench_suppress", "bench_evaluate"),
        startup: ("bench_startup",),
        train: ("bench_train",),
    }
    for module, names in functions.items():
        for name in names:
            yield patch.object(module, name, lambda *_, **__: BenchResults())


def _patches() -> list[Any]:
    """Patches where long work begins; everything before it is real."""
    import huggingface_hub
    import requests
    import uvicorn

    from e2espot.features import extract
    from e2espot.inference import export, predict, ray_cluster
    from e2espot.live.session import LiveSession
    from e2espot.studies import ablations
    from e2espot.synthetic import dataset
    from e2espot.training import cross_validation, fit

    in_process = SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=_InProcessPool))
    return [
        patch.object(predict, "score_frames", _scored),
        patch.object(fit, "fit", _fitted),
        patch.object(cross_validation, "fit", _fitted),
        patch.object(dataset, "render_game", _rendered),
        patch.object(dataset, "multiprocessing", in_process),
        patch.object(ray_cluster, "run_on_ray", _reached),
        patch.object(ray_cluster, "run_work_on_ray", _reached),
        patch.object(extract, "extract_video", _reached),
        patch.object(export, "backbone_graph", _reached),
        patch.object(LiveSession, "run", _reached),
        patch.object(fsspec, "url_to_fs", _store),
        patch.object(requests.Session, "request", _reached),
        patch.object(huggingface_hub.HfApi, "repo_info", _reached),
        patch.object(huggingface_hub, "snapshot_download", _reached),
        patch.object(timm, "create_model", _made),
        patch.object(uvicorn.Server, "run", lambda *_, **__: None),
        patch.object(ablations, "train_variant", _reached),
        patch.object(load("loop"), "run_subcommand", _reached),
        patch.object(load("jitter"), "run_subcommand", _reached),
        patch.object(load("heads"), "run_subcommand", _reached),
        patch.object(load("demo"), "run_subcommand", _reached),
        patch.object(load("controls"), "train", _reached),
        *_bench(),
    ]


@contextmanager
def without_long_work() -> Iterator[None]:
    """Every command stops where its long work begins."""
    with ExitStack() as stack:
        for replacement in _patches():
            stack.enter_context(replacement)
        yield
