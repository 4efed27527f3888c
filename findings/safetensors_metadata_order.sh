#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors and metadata, saved again, are other bytes.
#
# Guess:    serialisation is a function of its input, as the format is simple and tensors are laid out in a fixed
#           order. Check sums of weights files then tell whether two trainings ended alike.
# Behaviour: with two or more metadata keys their order changes from one call to the next, within one process. Tensors
#           and header length stay the same, so the files differ in a few bytes of the header only. With one key every
#           file is the same.
# Remedy:   write the metadata sorted, or put it all under one key.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

tensors = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)}


def variants(metadata: dict[str, str], times: int = 200) -> set[bytes]:
    return {save(tensors, metadata=metadata) for _ in range(times)}


def keys(data: bytes) -> list[str]:
    size = int.from_bytes(data[:8], "little")
    return list(json.loads(data[8 : 8 + size])["__metadata__"])


one = variants({"format": "np"})
two = variants({"format": "np", "version": "1"})
print(f"safetensors {version('safetensors')}")
print("expected: 1 file for one key, 1 file for two keys")
print(f"observed: {len(one)} file for one key, {len(two)} files for two keys")
for data in sorted(two):
    print("  order of the keys:", keys(data))
same_tensors = all(
    np.array_equal(load(data)[name], tensors[name]) for data in two for name in tensors
)
# 200 saves that all agree by chance: 2 ** -199.
sys.exit(0 if len(one) == 1 and len(two) == 2 and same_tensors else 1)
PYTHON
