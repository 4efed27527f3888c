"""Commands count one thing as one: "1 label", never "1 labels"."""

import json
import re
from pathlib import Path

import pytest

from e2espot.cli.main import dispatch
from tests.support.tiny_dataset import write_game, write_spotter

_PLURAL = re.compile(r"(?<![\d.])1 (?:\w+ )?(?:labels|events|games|videos|predictions|classes|files|pictures)\b")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one game with one label of one class, a spotter, and one prediction."""
    root = tmp_path_factory.mktemp("one")
    write_game(root / "data" / "g", 0, num_frames=30)
    (root / "data" / "splits.json").write_text(json.dumps({"train": ["g"], "valid": ["g"], "test": ["g"]}))
    write_spotter(root / "spotter.safetensors")
    row = {
        "gameTime": "1 - 00:00",
        "label": "PASS",
        "position": "820",
        "half": "1",
        "confidence": "0.9",
        "team": "left",
    }
    (root / "out" / "g").mkdir(parents=True)
    content = {"UrlLocal": "g", "predictions": [row]}
    (root / "out" / "g" / "results_spotting.json").write_text(json.dumps(content))
    return root


COMMANDS = (
    "dataset DATA",
    "evaluate OUT -l DATA",
    "evaluate OUT -l DATA --annotated 0:00-0:00.5",
    "evaluate OUT -l DATA --annotated_classes SHOT",
    "report OUT -l DATA -o NEW/r.html",
    "review DATA --predictions OUT --export_osl NEW/o.json",
    "review DATA --predictions OUT --export_dataset NEW/d",
    "convert labels DATA NEW/t.csv --from soccernet --to table",
    "convert predictions OUT NEW/p.csv --from soccernet --to table",
    "infer SPOTTER DATA -o NEW/i --adapt none",
    "submit OUT -o NEW/s.zip --task ball-2024 --split test",
    "train DATA -s NEW/run --feature_arch small_gsm --size 96x64 --clip_len 8 --batch_size 1 --clips_per_epoch 1 "
    "--num_epochs 1 --num_workers 0 --start_val_epoch 0 --warm_up_epochs 0 --crop_dim 64",
)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_count_one_as_one(
    line: str, world: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    named = {"DATA": world / "data", "OUT": world / "out", "SPOTTER": world / "spotter.safetensors"}
    words = [str(named.get(word, word)).replace("NEW", str(tmp_path)) for word in line.split()]
    try:
        dispatch(words)
    except Exception as error:
        text = str(error)
    else:
        text = ""
    captured = capfd.readouterr()
    text += captured.out + captured.err + caplog.text
    assert text
    assert not _PLURAL.findall(text), text
