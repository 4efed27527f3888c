"""A Ray that does not start is a line with a way out, whatever it raises."""

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.inference.ray_cluster import Cluster, _connect

ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'e2espot[ray]'")


def test_ray_that_does_not_start_in_time_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup. Some of the raylet failed.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(
        ConfigurationError, match=r"did not start on this machine \(The current node timed out"
    ) as raised:
        _connect(Cluster(address=None, task_cpus=1, task_gpus=0.0))
    assert raised.value.option == "engine"
    assert "engine 'local'" in str(raised.value)
