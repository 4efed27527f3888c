"""The wheel alone is enough: built from the sources, installed in a fresh environment, run from another folder."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest

import e2espot
from e2espot.cli.main import COMMANDS
from tests.support.budget import LONG
from tests.support.numbered_video import constant, write

ROOT = Path(__file__).parents[1]
SOURCES = ("e2espot", "dali_pipelines", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), str(tree)]
    subprocess.run(command, check=True, timeout=300)
    return next(out.glob("e2espot-*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of a fresh environment that holds the wheel.

    Dependencies are those of the running environment, put on the path by a .pth file: that adds their folder
    but does not process the .pth files in it, so an editable e2espot there stays invisible.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True, timeout=300)
    site_packages = next(folder.glob("lib/python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def run(command: list[object], folder: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_data_files_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in (
        "e2espot/py.typed",
        "e2espot/recipes/laptop.yaml",
        "e2espot/recipes/laptop-fast.yaml",
        "e2espot/models/weights/small_gsm.safetensors",
        "e2espot/report/page.css",
        "dali_pipelines/stream.py",
    ):
        assert part in names
    assert any(name.startswith("e2espot/review/static/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "tools/"))]


def test_installed_command_lists_and_explains_its_subcommands(scripts: Path, tmp_path: Path) -> None:
    listed = run([scripts / "e2espot", "--help"], tmp_path)
    for commands in COMMANDS.values():
        for name, line in commands.items():
            assert f"  {name:<11}{line}" in listed
    for name in ("infer", "convert"):  # all of them: tests/cli/test_help.py
        assert "--help" in run([scripts / "e2espot", name, "--help"], tmp_path)
    module = run([scripts / "python", "-c", "import e2espot; print(e2espot.__file__)"], tmp_path)
    assert Path(module.strip()).is_relative_to(scripts.parent)


def test_installed_command_infers_without_a_run_as_the_library_does(scripts: Path, tmp_path: Path) -> None:
    video = write(tmp_path / "match", constant(Fraction(25), 60))
    printed = run([scripts / "e2espot", "infer", video], tmp_path)
    assert "spotter that ships with e2espot" in printed.splitlines()[0]
    assert (
        f"{len(e2espot.spot(e2espot.shipped_spotter(), video))} events -> {Path('out/match/results_spotting.json')}"
        in printed
    )


@pytest.mark.skipif(not LONG, reason="takes half a minute; make stress runs it")
def test_type_checkers_see_the_installed_package(scripts: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="type checking needs mypy: pip install -e '.[dev]'")
    (tmp_path / "use.py").write_text(
        "import e2espot\n"
        "events: list[e2espot.Event] = e2espot.spot('run', 'match.mp4')\n"
        "wrong: int = e2espot.Event(frame=0, label='PASS').label\n"
    )
    # Types of dependencies are not needed for this, and those of torch alone take longer than all else.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-torch.*,numpy.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--python-executable", str(scripts / "python"), "use.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    errors = [line for line in done.stdout.splitlines() if line.startswith("use.py")]
    assert [line.partition(": error: ")[2] for line in errors] == [
        'Incompatible types in assignment (expression has type "str", variable has type "int")  [assignment]'
    ]
