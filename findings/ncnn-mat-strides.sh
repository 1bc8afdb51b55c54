#!/usr/bin/env bash
# ncnn 1.0.20261020 (Python): ncnn.Mat(array) ignores the strides of a NumPy array and takes the wrong pixels.
#
# A Mat of an array shares its memory and assumes C order. The transposed views and slices that image code uses everywhere
# (HWC to CHW, every second column) keep their shape, but their values are those of the array underneath, in its own order.
# No error is raised, and the network computes with a scrambled picture. Expected: the values of the view, by a copy, or an
# error, as OpenVINO gives for shared memory. np.ascontiguousarray() gives the right values.
# Our guard: images are made contiguous before they become a Mat (lipsync.enhancers.upscale.ncnn).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ncnn==1.0.20261020 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import ncnn
import numpy as np

image = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)  # height, width, colours
views = {
    "C order": image,
    "colours first": image.transpose(2, 0, 1),
    "every second column": image[:, ::2],
}
right = {}
for name, view in views.items():
    values = np.array(ncnn.Mat(view))
    copied = np.ascontiguousarray(view)
    assert values.shape == view.shape
    assert np.array_equal(np.array(ncnn.Mat(copied)), view)
    right[name] = np.array_equal(values, view)
    print(f"{name}: first row {view[0, 0].tolist()}, in the Mat {values[0, 0].tolist()}")
    if not right[name]:
        assert np.array_equal(values.ravel(), image.ravel()[: view.size])
assert right == {"C order": True, "colours first": False, "every second column": False}
PYTHON
