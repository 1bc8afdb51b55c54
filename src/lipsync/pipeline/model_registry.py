"""What files of weights can be made into, whatever room of the house uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lipsync.engines import ENGINES
from lipsync.engines.wav2lip.convert import GENERATOR
from lipsync.enhancers import RESTORERS, UPSCALERS
from lipsync.enhancers.converters import CONVERTERS as FOR_ENHANCERS
from lipsync.enhancers.converters import NETWORK, NETWORK_HALF
from lipsync.models.registry import ModelRegistry
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor

CONVERTERS: Final = (GENERATOR, *FOR_ENHANCERS)


def registry_of(store: Store) -> ModelRegistry:
    """Everything in the store, of every kind."""
    return ModelRegistry(store, CONVERTERS, reserved=(*ENGINES, *RESTORERS, *UPSCALERS))


class StoredWeights:
    """Finds an enhancer's graph in the store, and remembers what it found: names and SHA-256 of the weights."""

    def __init__(self, folder: Path | None, monitor: Monitor) -> None:
        self._store, self._monitor = Store(folder or default_folder()), monitor
        self.found: dict[str, str] = {}

    def __call__(self, name: str, half: bool) -> Path:
        """The graph, in half precision if that is asked for and was made.

        Raises ModelMissing, ModelCorrupt, CheckpointMismatch, and what converting raises.
        """
        kind = self._store.info(name).kind  # whatever was imported under the name has to be of it
        converters = [converter for converter in FOR_ENHANCERS if converter.kind == kind]
        network = ModelRegistry(self._store, converters).find(name, self._monitor)
        self.found[name] = network.sha256
        halved = network.graph(NETWORK_HALF)
        return halved if half and halved.is_file() else network.graph(NETWORK)
