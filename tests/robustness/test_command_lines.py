"""No command line ends in a traceback, hangs, or writes to a file that it does not name."""

import contextlib
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.cli.errors import run_command
from tests.support.budget import LONG, print_figure, sized
from tests.support.command_lines import COMMANDS, Command, LongWorkError, arguments_of, load, without_long_work
from tests.support.sandbox import build_sandbox
from tests.support.write_guard import WriteGuard, was_asked_for

pytestmark = pytest.mark.timeout(sized(600, 7200))
GUARD = WriteGuard()
LONGEST_S = 60
"""A command line takes a hundredth of a second, and less than two seconds even if a network is built."""

NUMBERS = (
    *("-1", "0", "1", "2", "3", "7", "0.5", "-0.0", "1e-9", "1e9", "1e308", "1e999", "nan", "inf", "-inf"),
    *("99999999999", str(2**31), str(2**63), str(2**64), str(-(2**63)), "9" * 30, "9" * 5000, "1e999999999"),
    *("1/0", "0/0", "1/2", "-1/2", "30000/1001", "25/1", "0x10", "1_000", "\uff19", "\u00b2", "+1", " 1", "1,5"),
)
WHOLE = tuple(word for word in NUMBERS if re.fullmatch(r"-?[0-9]{1,40}", word))
TEXTS = (
    *("", " ", "a\nb", "\n", "\t", "..", ".", "/", "~", "../x", "a/../../x", "-", "--", "---", "-x", "--no-such-flag"),
    *("--=", "=", "x=y", "None", "True", "false", "auto", "none", "cpu", "cuda", "cuda:99", "mps", "meta", "tpu"),
    *("*", "**", "[", "?", "%s", "{}", "{0}", "$HOME", "`x`", "<script>", "\x1b[31m", "\u202e", "\udcff", "\ufffd"),
    *("x" * 300, "x/" * 3000, "ball-2", "ball-12", "soccernet-v2-17", "laptop", "e2e-spot", "ball-2025-joint"),
    *("rny002_gsm", "small", "small_gsm", "rn18_tsm", "gru", "deeper_gru", "224x224", "64x32", "31x31", "0x0", "x"),
    *("99999999x99999999", "65x33", "1/3", "2/3", "0/3", "4/3", "train", "val", "fp16", "timm:resnet18", "a/b"),
    *("s3://b/x.mp4", "http://h/d", "file:///proc/x", "memory://x/y.mp4", "nosuch://x", "://", "C:\\x", "ray", "::"),
    *("timm:", "timm:x", "uncertain", "all", "dali", "decord", "gray", "tight", "720p", "huggingface", "json"),
)
PATHS = (
    *("W", "W/data", "W/data/test/game/224p.mp4", "W/data/test/game/Labels-ball.json", "W/data/splits.json"),
    *("W/predictions", "W/predictions/test/game/results_spotting.json", "W/predictions/test/game/scores.npz"),
    *("W/run", "W/run/best.safetensors", "W/run/config.yaml", "W/results", "W/results.zip", "W/foreign"),
    *("W/foreign/checkpoint_003.pt", "W/odd", "W/odd/folder", "W/odd/empty", "W/odd/bytes.json", "W/odd/bytes.mp4"),
    *("W/odd/list.json", "W/odd/object.json", "W/odd/deep.json", "W/odd/class.txt", "W/odd/strange.yaml"),
    *("W/odd/recipe.yaml", "W/odd/loop", "W/odd/dangling", "W/odd/pipe", "W/missing", "W/missing/x.json"),
    *("W/odd/empty/x", "/dev/null/x", "/proc/x", "OUT", "OUT/x.json", "OUT/x.mp4", "OUT/x.safetensors", "OUT/x.zip"),
)
VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.sampled_from(PATHS),
    st.integers().map(str),
    st.floats().map(str),
    # An argument holds no NUL and no lone surrogate, except those that stand for undecodable bytes.
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
)
EDITS = st.sampled_from(["replace"] * 5 + ["flag"] * 7 + ["remove", "double", "swap", "insert"])


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A command line with one thing altered."""

    words: list[str]
    """Arguments of the command."""
    names: list[str]
    """Those of them that may name a file to write."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag from the help of a command."""

    name: str
    """With its dashes."""
    kind: str
    """Its value by the help: INT, FLOAT, STR, PATH, words in braces, or nothing."""


def values_of(kind: str) -> tuple[str, ...]:
    """Values that the parser accepts."""
    if kind.startswith("{") and "None" not in kind:
        return tuple(kind.strip("{}").split(","))
    kind = kind.rpartition("|")[2]
    return {"INT": WHOLE, "FLOAT": NUMBERS, "PATH": PATHS}.get(kind, TEXTS + NUMBERS)


@st.composite
def attacks(draw: st.DrawFn, command: Command, flags: tuple[Flag, ...], world: Path, out: Path) -> Attack:
    words = arguments_of(draw(st.sampled_from(command.lines)), world, out)
    how, at = draw(EDITS), draw(st.integers(0, 60)) % len(words)
    before = words[at - 1].replace("-", "_") if at else ""
    flag = next((flag for flag in flags if flag.name.replace("-", "_") == before), None)
    if how == "flag":
        flag = draw(st.sampled_from(flags))
    kind = flag.kind if flag is not None else "PATH" if "/" in words[at] else "STR"
    value = draw(st.one_of(st.sampled_from(values_of(kind)), st.sampled_from(values_of(kind)), VALUES))
    value = arguments_of(value, world, out)[0] if value in PATHS else value
    if how == "replace":
        words[at] = value
    elif how == "flag":
        assert flag is not None
        words += [flag.name, value] if flag.kind else [flag.name]
    elif how == "remove":
        del words[at]
    elif how == "double":
        words.insert(at, words[at])
    elif how == "swap":
        words[at - 1], words[at] = words[at], words[at - 1]
    else:
        words.insert(at, value)
    alone = how in ("replace", "flag") and value != "None"  # the parser's word for no value
    return Attack(words=words, names=[value] if alone else words)


class Terminal(io.TextIOWrapper):
    """Records what a command prints; as strict about encodings as a terminal."""

    def __init__(self, errors: str) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def text(self) -> str:
        return self.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


class TooLongError(BaseException):
    """The command did not end."""


def _too_long(*_: object) -> None:
    raise TooLongError


def run(tool: str, words: list[str]) -> tuple[str, str]:
    """Run a command in this process: how it ended, and what it wrote to stderr."""
    stderr = Terminal("backslashreplace")
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_S)
    streams = {"stdout": Terminal("strict"), "stderr": stderr, "stdin": io.StringIO()}
    with patch.multiple(sys, **streams), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run_command(lambda: load(tool).main(words))
            ended = "0"
        except SystemExit as end:
            ended = str(end.code or 0)
        except LongWorkError:
            ended = "reached"
        except BaseException as error:
            ended = fault_of(error)
        finally:
            signal.alarm(0)
    return ended, stderr.text()


def fault_of(error: BaseException) -> str:
    """The exception, and where it was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "e2espot" in f.filename or "tools" in f.filename]
    origin = "; ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
    return f"{type(error).__name__}: {str(error)[:200]} at {origin}"


_BOX = re.compile(r"[╭│╰]|^usage: ", re.MULTILINE)
"""Message of the parser about a command line it does not accept."""


def fault_of_end(ended: str, stderr: str) -> str:
    """What is wrong with how a command ended; empty if nothing."""
    if ended in ("0", "reached"):
        return ""
    if ended != "2":
        return ended
    lines = stderr.splitlines()
    if not lines:
        return "exit 2 without a message"
    if _BOX.search(stderr):
        return ""
    return "" if lines[-1].startswith("error: ") and len(lines[-1]) > 12 else f"no clear last line: {lines[-1]!r}"


def snapshot(world: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, to detect writes that Python's audit events do not show."""
    files = {}
    for folder, _, names in os.walk(world):
        for name in names:
            status = os.lstat(f"{folder}/{name}")
            files[f"{folder}/{name}"] = (status.st_size, status.st_mtime_ns)
    return files


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    build_sandbox(root / "world")
    return root


@pytest.fixture
def world(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sandbox, unchanged, with a folder to write to next to it."""
    out = root / "written"
    out.mkdir(exist_ok=True)
    for name in ("TMPDIR", "XDG_CACHE_HOME", "E2ESPOT_INDEX_CACHE", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(root / "written" / name))
    monkeypatch.setattr(tempfile, "tempdir", str(root / "written"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(root / "world" / "here")
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    monkeypatch.setenv("COLUMNS", "120")
    yield root / "world"
    shutil.rmtree(out)


def flags_of(tool: str) -> tuple[Flag, ...]:
    """Every flag in the help of a command."""
    help_text = io.StringIO()
    for words in ([], ["labels"], ["checkpoint"]) if tool == "convert" else ([],):
        with contextlib.redirect_stdout(help_text), contextlib.suppress(SystemExit):
            load(tool).main([*words, "--help"])
    value = r"(?:\{[^}]*\}\|)?(?:[A-Z]{3,}|\{[^}]*\})"
    named = re.findall(rf"(?<![\w-])(--?[a-zA-Z][\w-]*)(?: ({value}))?", help_text.getvalue())
    kinds = {name: kind for name, kind in named if name not in ("-h", "--help")}
    assert kinds
    return tuple(Flag(name=name, kind=kind) for name, kind in sorted(kinds.items()))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.tool)
def test_altered_command_line_is_accepted_or_refused(command: Command, root: Path, world: Path) -> None:
    out = root / "written"
    before, counts, faults = snapshot(world), Counter[str](), {}

    def check(attack: Attack) -> None:
        with GUARD.only(out):
            ended, stderr = run(command.tool, attack.words)
        fault = fault_of_end(ended, stderr)
        unasked = [path for path in GUARD.attempts if not was_asked_for(path, attack.names, world / "here")]
        if unasked and not fault:
            fault = f"writes to {unasked[0]}"
        changed = {name for name, _ in snapshot(world).items() ^ before.items()}
        for name in sorted(changed):
            if not was_asked_for(Path(name), attack.names, world / "here"):
                fault = fault or f"writes {name} unseen by the guard"
            assert name not in before, f"{attack.words} changed {name}"
            Path(name).unlink()
        counts["taken" if ended in ("0", "reached") else "refused"] += 1
        if fault:
            faults.setdefault(re.sub(r"\d+", "#", fault.rpartition(" at ")[2] or fault), (fault, attack.words))
        shutil.rmtree(out)
        out.mkdir()

    @settings(
        max_examples=sized(4, 2000),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(attacks(command, flags_of(command.tool), world, out))
    def attack(altered: Attack) -> None:
        check(altered)

    with without_long_work():
        for line in command.lines:
            words = arguments_of(line, world, out)
            with GUARD.only(out):
                ended, stderr = run(command.tool, words)
            assert ended in ("0", "reached"), (line, ended, stderr)
            shutil.rmtree(out)
            out.mkdir()
        attack()
    print_figure(f"{command.tool}: {dict(counts)}")
    assert not faults, "\n".join(f"{fault}\n    {json.dumps(words)[:600]}" for fault, words in faults.values())


KNOWN_FAULTS = {
    "infer": ("--device tpu", "--device cuda:99", "--shard 9/2"),
    "train": (
        "--device tpu",
        "--fold 1/99999999999999999999",
        "--seed -1",
        "--learning-rate nan",
        "--num-workers -1",
        "--fps 1e999999999",
        "--size 9x9",
    ),
    "folds": ("--folds 1", "--clip-len 99999999999"),
    "evaluate": ("--metric", "--fps 99999999999", "--label-file /etc/passwd", "--label-file *", "--json W/odd/pipe"),
    "report": ("--fps 99999999999", "--examples -1"),
    "render": ("--seed -1", "--minutes inf", "--minutes nan", "--games 99999999999", "--test-minutes -inf"),
    "bench": ("--device tpu", "--repeats 0", "--clip-len -1", "--feature-arch x"),
    "ablations": ("--seeds -1", "--games 1", "--seconds nan"),
    "loop": ('--train "\'"', "--seed -1", "--assume nan"),
    "jitter": ('--train "\'"', "--seed -1", "--late nan", "--matches 0", "--start W/none"),
    "controls": ("--out W/odd",),
    "heads": ('--train "\'"', "--heads x"),
    "convert": ("--label-file ../../x --from opensportslab --to soccernet", "--label-file /x"),
}
"""Arguments that once ended in a traceback, a hang or a file elsewhere."""


@pytest.mark.parametrize("tool", KNOWN_FAULTS)
def test_known_faulty_command_lines_are_refused(tool: str, root: Path, world: Path) -> None:
    command = next(command for command in COMMANDS if command.tool == tool)
    with without_long_work(), GUARD.only(root / "written"):
        for more in KNOWN_FAULTS[tool]:
            words = arguments_of(f"{command.lines[0]} {more}", world, root / "written")
            ended, stderr = run(tool, words)
            assert ended == "2", (more, ended, stderr)
            assert fault_of_end(ended, stderr) == "", (more, stderr)
    assert not GUARD.attempts


def process(tool: str, words: list[str]) -> subprocess.CompletedProcess[bytes]:
    """A command as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "e2espot", tool, *map(os.fsencode, words)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS if LONG else COMMANDS[2:6:3], ids=lambda command: command.tool)
def test_process_ends_with_one_line_of_error(command: Command, root: Path, world: Path) -> None:
    before = snapshot(world)
    words = arguments_of(command.lines[0], world, root / "written")
    inside = [number for number, word in enumerate(words) if word.startswith(str(world))]
    attacks = [[*words, "--no-such-flag"], [*words, "\udcff\n"], [*words, "--seed", "x"]]
    for number in inside:
        attacks.append([*words[:number], f"{world}/none\n\udcff", *words[number + 1 :]])
    for attack in attacks if LONG else attacks[-1:]:
        done = process(command.tool, attack)
        stderr = done.stderr.decode("utf-8", "replace")
        assert (done.returncode, fault_of_end("2", stderr)) == (2, ""), (attack, stderr)
        assert b"Traceback" not in done.stderr
    assert snapshot(world) == before
    assert not list((root / "written").iterdir())
