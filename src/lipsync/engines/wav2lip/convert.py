"""How files of Wav2Lip's weights become the graphs that the engine runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lipsync.engines.wav2lip.architecture import Folded, decoder_graph, encoder_graph
from lipsync.engines.wav2lip.smoke import smoke_test
from lipsync.engines.wav2lip.weights import read_weights
from lipsync.models.conversion import FIRST_KIND, Converter

ENCODER, DECODER, ENCODER_HALF, DECODER_HALF = "encoder.onnx", "decoder.onnx", "encoder-half.onnx", "decoder-half.onnx"
GRAPHS: Mapping[str, tuple[Callable[[Folded, bool], bytes], bool]] = MappingProxyType(
    {
        ENCODER: (encoder_graph, False),
        DECODER: (decoder_graph, False),
        ENCODER_HALF: (encoder_graph, True),
        DECODER_HALF: (decoder_graph, True),
    }
)


def _make(graph: str, folded: Folded) -> bytes:
    make, half = GRAPHS[graph]
    return make(folded, half)


def _smoke(folder: Path) -> None:
    smoke_test(*(folder / graph for graph in GRAPHS))


MARK: Final = re.compile(r"face_(en|de)coder_blocks\.\d|^audio_encoder\.\d")
GENERATOR: Final = Converter("Wav2Lip", FIRST_KIND, 1, tuple(GRAPHS), read_weights, _make, _smoke, MARK)
