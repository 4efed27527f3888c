"""The benchmark of labels reads every format."""

from pathlib import Path
from typing import get_args

from e2espot.benchmarks.labels import LabelSettings, bench_labels
from e2espot.formats.format_names import FormatName


def test_every_format_is_written_and_read(tmp_path: Path) -> None:
    results = bench_labels(tmp_path, LabelSettings(games=2, videos=2, video_minutes=1, repeats=1))
    assert set(results.figures["labels"]) == set(get_args(FormatName))
    assert results.tables[0].text().startswith("| labels of 2 games (440) | CPU s |")
    assert all(target.met for target in results.targets)
