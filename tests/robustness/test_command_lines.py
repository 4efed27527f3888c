"""No command line ends in a traceback, hangs, or writes where it was not told to."""

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
from tests.support.budget import LONG, sized, tell
from tests.support.command_lines import COMMANDS, Command, ReachedError, cut_short, load, words_of
from tests.support.sandbox import build
from tests.support.write_guard import Guard, explained

pytestmark = pytest.mark.timeout(sized(600, 7200))
GUARD = Guard()
LONGEST_S = 60
"""A command line takes a hundredth of a second, and less than two even where a network is built."""

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
    # The system hands over no NUL, and nothing that its own encoding could not have made.
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
)
HOW = st.sampled_from(["replace"] * 5 + ["flag"] * 7 + ["remove", "double", "swap", "insert"])


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A command line with one thing altered."""

    words: list[str]
    """What follows the tool's name."""
    asked: list[str]
    """Those of them that may have become the name of something to be written."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag that the tool's help names."""

    name: str
    kind: str
    """What the help says of its value: INT, FLOAT, STR, PATH, words in braces, or nothing."""


def alike(kind: str) -> tuple[str, ...]:
    """Values that get past the parser."""
    if kind.startswith("{") and "None" not in kind:
        return tuple(kind.strip("{}").split(","))
    kind = kind.rpartition("|")[2]
    return {"INT": WHOLE, "FLOAT": NUMBERS, "PATH": PATHS}.get(kind, TEXTS + NUMBERS)


@st.composite
def attacks(draw: st.DrawFn, command: Command, flags: tuple[Flag, ...], world: Path, out: Path) -> Attack:
    words = words_of(draw(st.sampled_from(command.lines)), world, out)
    how, at = draw(HOW), draw(st.integers(0, 60)) % len(words)
    before = words[at - 1].replace("_", "-") if at else ""
    flag = next((flag for flag in flags if flag.name == before), None)
    if how == "flag":
        flag = draw(st.sampled_from(flags))
    kind = flag.kind if flag is not None else "PATH" if "/" in words[at] else "STR"
    value = draw(st.one_of(st.sampled_from(alike(kind)), st.sampled_from(alike(kind)), VALUES))
    value = words_of(value, world, out)[0] if value in PATHS else value
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
    alone = how in ("replace", "flag") and value != "None"  # which is the parser's word for no value at all
    return Attack(words=words, asked=[value] if alone else words)


class Terminal(io.TextIOWrapper):
    """What a tool prints, kept; as strict about what can be written as a terminal is."""

    def __init__(self, errors: str) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def text(self) -> str:
        return self.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


class TooLongError(BaseException):
    """The tool did not come to an end."""


def _too_long(*_: object) -> None:
    raise TooLongError


def run(tool: str, words: list[str]) -> tuple[str, str]:
    """How a tool ended in this process, and what it wrote to stderr."""
    told = Terminal("backslashreplace")
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_S)
    streams = {"stdout": Terminal("strict"), "stderr": told, "stdin": io.StringIO()}
    with patch.multiple(sys, **streams), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run_command(lambda: load(tool).main(words))
            ended = "0"
        except SystemExit as end:
            ended = str(end.code or 0)
        except ReachedError:
            ended = "reached"
        except BaseException as error:
            ended = fault_of(error)
        finally:
            signal.alarm(0)
    return ended, told.text()


def fault_of(error: BaseException) -> str:
    """What came through, and where it was born."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "e2espot" in f.filename or "tools" in f.filename]
    where = "; ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
    return f"{type(error).__name__}: {str(error)[:200]} at {where}"


_BOX = re.compile(r"[╭│╰]|^usage: ", re.MULTILINE)
"""The parser's own words about a command line it cannot read."""


def judge(ended: str, told: str) -> str:
    """Empty, or what is wrong with how a tool ended."""
    if ended in ("0", "reached"):
        return ""
    if ended != "2":
        return ended
    lines = told.splitlines()
    if not lines:
        return "exit 2 without a word"
    if _BOX.search(told):
        return ""
    return "" if lines[-1].startswith("error: ") and len(lines[-1]) > 12 else f"no clear last line: {lines[-1]!r}"


def tree(world: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time: for what was written past Python."""
    found = {}
    for folder, _, names in os.walk(world):
        for name in names:
            about = os.lstat(f"{folder}/{name}")
            found[f"{folder}/{name}"] = (about.st_size, about.st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    build(root / "world")
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The small world, as it is when nobody has touched it, with a folder to write to beside it."""
    out = made / "written"
    out.mkdir(exist_ok=True)
    for name in ("TMPDIR", "XDG_CACHE_HOME", "E2ESPOT_INDEX_CACHE", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(made / "written" / name))
    monkeypatch.setattr(tempfile, "tempdir", str(made / "written"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(made / "world" / "here")
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    monkeypatch.setenv("COLUMNS", "120")
    yield made / "world"
    shutil.rmtree(out)


def flags_of(tool: str) -> tuple[Flag, ...]:
    """Every flag that the tool's help names."""
    told = io.StringIO()
    for words in ([], ["labels"], ["checkpoint"]) if tool == "convert" else ([],):
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
            load(tool).main([*words, "--help"])
    value = r"(?:\{[^}]*\}\|)?(?:[A-Z]{3,}|\{[^}]*\})"
    named = re.findall(rf"(?<![\w-])(--?[a-zA-Z][\w-]*)(?: ({value}))?", told.getvalue())
    found = {name: kind for name, kind in named if name not in ("-h", "--help")}
    assert found
    return tuple(Flag(name=name, kind=kind) for name, kind in sorted(found.items()))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.tool)
def test_a_command_line_is_taken_or_refused(command: Command, made: Path, world: Path) -> None:
    out = made / "written"
    before, counts, faults = tree(world), Counter[str](), {}

    def check(attack: Attack) -> None:
        with GUARD.only(out):
            ended, told = run(command.tool, attack.words)
        fault = judge(ended, told)
        strange = [path for path in GUARD.tried if not explained(path, attack.asked, world / "here")]
        if strange and not fault:
            fault = f"writes to {strange[0]}"
        changed = {name for name, _ in tree(world).items() ^ before.items()}
        for name in sorted(changed):
            if not explained(Path(name), attack.asked, world / "here"):
                fault = fault or f"writes {name} past the guard"
            assert name not in before, f"{attack.words} spoilt {name}"
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

    with cut_short():
        for line in command.lines:
            words = words_of(line, world, out)
            with GUARD.only(out):
                ended, told = run(command.tool, words)
            assert ended in ("0", "reached"), (line, ended, told)
            shutil.rmtree(out)
            out.mkdir()
        attack()
    tell(f"{command.tool}: {dict(counts)}")
    assert not faults, "\n".join(f"{fault}\n    {json.dumps(words)[:600]}" for fault, words in faults.values())


MET = {
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
    "render_match": ("--seed -1", "--minutes inf", "--minutes nan", "--games 99999999999", "--test-minutes -inf"),
    "bench": ("--device tpu", "--repeats 0", "--clip-len -1", "--feature-arch x"),
    "ablations": ("--seeds -1", "--games 1", "--seconds nan"),
    "loop": ('--train "\'"', "--seed -1", "--assume nan"),
    "controls": ("--out W/odd",),
    "convert": ("--label-file ../../x --from opensportslab --to soccernet", "--label-file /x"),
}
"""What once ended in a traceback, a hang or a file elsewhere, or nearly does."""


@pytest.mark.parametrize("tool", MET)
def test_what_was_met_is_refused(tool: str, made: Path, world: Path) -> None:
    command = next(command for command in COMMANDS if command.tool == tool)
    with cut_short(), GUARD.only(made / "written"):
        for more in MET[tool]:
            words = words_of(f"{command.lines[0]} {more}", world, made / "written")
            ended, told = run(tool, words)
            assert ended == "2", (more, ended, told)
            assert judge(ended, told) == "", (more, told)
    assert not GUARD.tried


def process(tool: str, words: list[str]) -> subprocess.CompletedProcess[bytes]:
    """A tool as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "e2espot", tool, *map(os.fsencode, words)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS if LONG else COMMANDS[2:6:3], ids=lambda command: command.tool)
def test_a_process_ends_with_a_word(command: Command, made: Path, world: Path) -> None:
    before = tree(world)
    words = words_of(command.lines[0], world, made / "written")
    inside = [number for number, word in enumerate(words) if word.startswith(str(world))]
    attacks = [[*words, "--no-such-flag"], [*words, "\udcff\n"], [*words, "--seed", "x"]]
    for number in inside:
        attacks.append([*words[:number], f"{world}/none\n\udcff", *words[number + 1 :]])
    for attack in attacks if LONG else attacks[-1:]:
        done = process(command.tool, attack)
        told = done.stderr.decode("utf-8", "replace")
        assert (done.returncode, judge("2", told)) == (2, ""), (attack, told)
        assert b"Traceback" not in done.stderr
    assert tree(world) == before
    assert not list((made / "written").iterdir())
