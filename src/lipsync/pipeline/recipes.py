"""What files of weights can be made into, whatever room of the house uses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from lipsync.engines import ENGINES
from lipsync.engines.wav2lip.recipe import GENERATOR
from lipsync.enhancers.recipes import NETWORK, NETWORK_HALF
from lipsync.enhancers.recipes import RECIPES as FOR_ENHANCERS
from lipsync.models.shelf import Shelf
from lipsync.models.store import Store, default_folder
from lipsync.monitor import Monitor

RECIPES: Final = (GENERATOR, *FOR_ENHANCERS)


def shelf_of(store: Store) -> Shelf:
    """Everything in the store, of every kind."""
    return Shelf(store, RECIPES, reserved=ENGINES)


def finder(folder: Path | None, monitor: Monitor) -> Callable[[str, bool], Path]:
    """What finds an enhancer's graph in the store, by name, in half precision if that is asked for and was made.

    It raises ModelMissing, ModelCorrupt, CheckpointMismatch, and what converting raises.
    """
    shelf = Shelf(Store(folder or default_folder()), FOR_ENHANCERS)

    def find(name: str, half: bool) -> Path:
        network = shelf.find(name, monitor)
        halved = network.graph(NETWORK_HALF)
        return halved if half and halved.is_file() else network.graph(NETWORK)

    return find
