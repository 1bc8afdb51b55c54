"""All model converters, and the models of engines and enhancers in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lipsync.engines import ENGINES
from lipsync.engines.wav2lip.convert import GENERATOR
from lipsync.enhancers import RESTORERS, UPSCALERS
from lipsync.enhancers.converters import CONVERTERS as ENHANCER_CONVERTERS
from lipsync.enhancers.converters import NETWORK, NETWORK_HALF
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor

CONVERTERS: Final = (GENERATOR, *ENHANCER_CONVERTERS)


def registry_of(store: Store) -> ModelRegistry:
    """Return the registry of all models in the store; names of engines and enhancers are reserved."""
    return ModelRegistry(store, CONVERTERS, reserved=(*ENGINES, *RESTORERS, *UPSCALERS))


class StoredWeights:
    """Finds the graphs of enhancers in the store. ``found``: SHA-256 of the weights, by name."""

    def __init__(self, folder: Path | None, monitor: Monitor) -> None:
        self._store, self._monitor = Store(folder or default_folder()), monitor
        self.found: dict[str, str] = {}

    def __call__(self, name: str, half: bool) -> Path:
        """Return the path of the graph, in half precision if requested and available.

        Raises ModelMissing, ModelCorrupt, CheckpointMismatch, and what converting raises.
        """
        kind = self._store.info(name).kind  # an import under this name must be of this kind
        converters = [converter for converter in ENHANCER_CONVERTERS if converter.kind == kind]
        model = ModelRegistry(self._store, converters).find(name, self._monitor)
        self.found[name] = model.sha256
        half_graph = model.graph(NETWORK_HALF)
        return half_graph if half and half_graph.is_file() else model.graph(NETWORK)
