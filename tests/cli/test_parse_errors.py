"""A wrong command line is one line, as every error of a user is."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from e2espot.cli.main import main

FORMATS = "{soccernet,opensportslab,"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("train DATA", "e2espot train needs --save_dir PATH; see e2espot train --help"),
        ("train DATA -s", "--save_dir lacks a value; see e2espot train --help"),
        ("train DATA -s RUN --recipe", "--recipe lacks a value; see e2espot train --help"),
        ("train DATA -s RUN --epochs 3", "no option --epochs; did you mean --num_epochs or --warm_up_epochs? See"),
        ("train DATA -s RUN --num-epoks=3", "no option --num-epoks=3; did you mean --num_epochs or --num_workers? See"),
        ("train DATA -s RUN --xyz 3", "no option --xyz; see e2espot train --help"),
        ("train DATA -s RUN --num_epochs x", "--num_epochs INT: invalid literal for int() with base 10: 'x'; see"),
        ("evaluate", "e2espot evaluate needs PREDICTIONS, --labels PATH; see e2espot evaluate --help"),
        ("evaluate a -l b --metric x", "--metric is 'x'; choose from at1, at2, at3, at4, at5, tight, loose, dfl, foot"),
        ("convert", "e2espot convert lacks its first word; choose from labels, predictions, checkpoint"),
        ("convert label a b", "e2espot convert is followed by 'label'; choose from labels, predictions, checkpoint"),
        ("convert labels a", f"e2espot convert labels needs TARGET, --from {FORMATS}"),
        ("convert labels a b --from x --to table", "--from is 'x'; choose from soccernet, opensportslab, e2e-spot, "),
        ("convert labels a b c --from table --to table", "'c' is one word too many; see e2espot convert --help"),
        ("convert labels a b --from table --to table --colums c", "no option --colums; did you mean --columns? See"),
    ],
)
def test_a_wrong_command_line_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert err.startswith(f"error: {line}")
    assert (out, err.count("\n")) == ("", 1)


def test_a_tyro_without_the_hook_prints_its_own_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module = builtins.__import__

    def without_errors(name: str, *rest: Any, **named: Any) -> Any:
        if name == "tyro" and "_errors" in (rest[2] or ()):
            raise ImportError(name)
        return import_module(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_errors)
    with pytest.raises(SystemExit) as caught:
        main(["evaluate"])
    assert caught.value.code == 2
    assert "Missing from e2espot evaluate" in capsys.readouterr().err
