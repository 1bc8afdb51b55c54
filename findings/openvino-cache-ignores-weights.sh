#!/usr/bin/env bash
# OpenVINO 2026.4.1: with CACHE_DIR, compile_model(path) computes with old weights after the .bin file was replaced.
#
# Retrained weights of the same graph keep the .xml. After the .bin was replaced, compile_model(path) still loads the old
# compiled model from the cache, without a warning. compile_model(read_model(path)) computes with the new weights.
# Our guard: models are compiled from their content, never from a path (lipsync.models.openvino_session).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import pathlib

import numpy as np
import openvino as ov
from openvino import opset13

data = opset13.parameter([1, 64], np.float32)
weights = opset13.constant(np.ones((64, 64), np.float32))
ov.save_model(ov.Model([opset13.matmul(data, weights, False, False)], [data]), "m.xml", compress_to_fp16=False)
core = ov.Core()
core.set_property({"CACHE_DIR": "cache"})


def result(model):
    return float(core.compile_model(model, "CPU")(np.ones((1, 64), np.float32))[0][0, 0])


before = result("m.xml")
binary = pathlib.Path("m.bin")
binary.write_bytes((np.frombuffer(binary.read_bytes(), np.float32) * 2).tobytes())
after, read = result("m.xml"), result(core.read_model("m.xml"))
print(f"weights 1: {before}; weights 2 by path: {after}; weights 2 by read_model: {read}")
assert (before, after, read) == (64.0, 64.0, 128.0)
PYTHON
