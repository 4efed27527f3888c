"""New fake servers for every test."""

import os
from collections.abc import Iterator

import pytest

from tests.support.fake_servers import FakeServer


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    fake_server = FakeServer()
    server = fake_server.start()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SOCCERNET_PASSWORD", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", fake_server.hub_url)
    monkeypatch.setenv("E2ESPOT_OWNCLOUD", fake_server.cloud_url)
    monkeypatch.setenv("HF_HOME", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield fake_server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ball_2025(servers: FakeServer, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    from tests.support.split_2025 import SECRET, games, hub, zipped

    monkeypatch.setattr(hub.constants, "ENDPOINT", servers.hub_url)
    servers.hub["SoccerNet/SN-BAS-2025"] = {
        "README.md": b"hello",
        "ExtraLabelsActionSpotting500games/train_labels.zip": b"not asked for",
        **{f"{split}.zip": zipped(games(split, "224p.mp4", "720p.mp4"), SECRET) for split in ("valid", "challenge")},
    }
    return servers
