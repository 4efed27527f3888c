"""What several tests of videos watch."""

import pytest

from e2espot.video.pyav_reader import PyavDecoder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Packets fed to the decoder, one entry each."""
    fed: list[int] = []
    feed = PyavDecoder._feed

    def counted(self: PyavDecoder) -> None:
        fed.append(self._next_packet)
        feed(self)

    monkeypatch.setattr(PyavDecoder, "_feed", counted)
    return fed
