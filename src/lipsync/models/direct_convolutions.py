"""Choose how OpenVINO computes the convolutions of a network on x86 processors."""

from __future__ import annotations

import platform
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from openvino import Core, Model

PRIORITIES: Final = "cpu:jit_avx512_1x1,cpu:jit_avx512_dw,cpu:jit_avx512"  # others follow, without BRGEMM
_X86: Final = ("x86_64", "amd64")
# The beginning of such a layer in OpenVINO's XML, and the attribute after it.
_CONVOLUTION: Final = re.compile(rb'<layer [^>]*type="(?:Group)?Convolution"[^>]*>\s*<data [^>]*/>')
_WITH_PRIORITIES: Final = (
    rb"\g<0><rt_info>"
    rb'<attribute name="primitives_priority" version="0" value="' + PRIORITIES.encode() + rb'" /></rt_info>'
)


def with_direct_convolutions(core: Core, network: Model) -> Model:
    """Return the network with convolutions that OpenVINO computes directly, not as batches of matrix products (BRGEMM).

    The matrices of layers with few channels are small, as in the face networks: those take a quarter less time. The
    choice is an attribute of a layer that only OpenVINO's file format can carry. Raises what OpenVINO raises.
    """
    import openvino

    if platform.machine().lower() not in _X86:
        return network
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        graph, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(network, graph, weights)
        content = openvino.Tensor(np.fromfile(weights, np.uint8))
        marked = _CONVOLUTION.sub(_WITH_PRIORITIES, graph.read_bytes())
    return core.read_model(marked, content)
