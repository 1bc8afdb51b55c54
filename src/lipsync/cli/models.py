"""``lipsync models``: the weights that some engines need, fetched or imported once."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.cli.exit_codes import EXIT_CODES
from lipsync.cli.progress import Display
from lipsync.errors import ModelCorrupt, ModelMissing
from lipsync.monitor import Monitor

if TYPE_CHECKING:
    from lipsync.models.registry import ModelRegistry, RegisteredModel
    from lipsync.models.store import Store

FOLDER_VARIABLE = "LIPSYNC_MODELS"
YOURS = "that of the file you imported"
Command = Callable[[argparse.Namespace, Monitor], int]


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Keeps the weights that some engines need. Only fetch uses the network."
    parser.epilog = "example: lipsync models import wav2lip_gan.pth"
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add(actions, "list", run_list, "tell what there is, and what is here")
    fetch = _add(actions, "fetch", run_fetch, "download published weights and make them ready")
    fetch.add_argument("name", metavar="NAME", help="as models list tells it")
    fetch.add_argument("--accept-license", action="store_true", help="agree to the licence that is shown; recorded")
    bring = _add(actions, "import", run_import, "make a file of weights ready: PyTorch's .pth or .pt, or .onnx")
    bring.add_argument("file", type=Path, metavar="FILE", help="it is read, and nothing in it is run")
    bring.add_argument("--name", default=None, help="what it is called from now on (default: after the file)")
    verify = _add(actions, "verify", run_verify, "read everything that is here and compare checksums")
    verify.add_argument("name", metavar="NAME", nargs="?", help="only this one")
    remove = _add(actions, "remove", run_remove, "delete weights and what was made of them")
    remove.add_argument("name", metavar="NAME")
    where = _add(actions, "where", run_where, "print the folder of all, or where one lies")
    where.add_argument("name", metavar="NAME", nargs="?")


def add_models_dir_to(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help=f"where weights lie (default: ${FOLDER_VARIABLE}, else your data folder)",
    )


def store_of(options: argparse.Namespace) -> Store:
    """The store that --models-dir names, else the environment, else the one in the user's data folder."""
    from lipsync.models.store import Store, default_folder

    named = os.environ.get(FOLDER_VARIABLE)
    return Store(options.models_dir or (Path(named) if named else default_folder()))


def run_list(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    items = _shelf(store).items()
    if options.json:
        print(json.dumps({"folder": str(store.folder), "models": [_as_json(store, item) for item in items]}))
        return 0
    names = max(len(item.name) for item in items) if items else 0
    for item in items:
        what = f"{item.name:<{names}}  {item.kind:<9}  {item.state:<10}  {_megabytes(item.size):>7}"
        print(f"{what}  {_licence(item)}")
    return 0


def run_fetch(options: argparse.Namespace, monitor: Monitor) -> int:
    return fetch_into(store_of(options), options, monitor)


def fetch_into(store: Store, options: argparse.Namespace, monitor: Monitor) -> int:
    """Download and convert what the options name, once its licence was agreed to."""
    from lipsync.models.onnx_builder import onnx_package

    name, shelf = options.name, _shelf(store)
    entry = store.entry(name)
    _say(options, f"{name}: {_megabytes(entry.size)}; licence: {entry.licence}")
    if options.accept_license:
        store.accept(name)
    if store.accepted(name):
        onnx_package()  # told now rather than after the download
    with _shown(options, monitor):
        store.fetch(name, monitor)
        shelf.convert(store.place(name), monitor)
    return _report(options, store, shelf.item(name))


def run_import(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    shelf = _shelf(store)
    with _shown(options, monitor):
        network = shelf.import_file(options.file, options.name, monitor)
    item = shelf.item(network.name)
    if item.entry is not None:
        _say(options, f"{item.name}: licence: {item.entry.licence}")
    return _report(options, store, item)


def run_verify(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    shelf = _shelf(store)
    items = [shelf.item(options.name)] if options.name else shelf.items()
    here = [item for item in items if item.download or item.network]
    if options.name and not here:
        raise ModelMissing(f"{options.name} is not here; lipsync models list tells what is")
    with _shown(options, monitor):
        problems = {item.name: _problem(shelf, item, monitor) for item in here}
    if options.json:
        findings = [{"name": name, "ok": not problem, "detail": problem} for name, problem in problems.items()]
        print(json.dumps({"folder": str(store.folder), "findings": findings}))
    else:
        for name, problem in problems.items():
            print(f"{name}: {problem or 'whole'}")
        _say(options, f"nothing to verify in {store.folder}" if not problems else "")
    return EXIT_CODES[ModelCorrupt] if any(problems.values()) else 0


def run_remove(options: argparse.Namespace, monitor: Monitor) -> int:
    _shelf(store_of(options)).remove(options.name)
    if options.json:
        print(json.dumps({"removed": options.name}))
    else:
        _say(options, f"{options.name}: removed")
    return 0


def run_where(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    place = store.folder
    if options.name:
        item = _shelf(store).item(options.name)
        found = item.download or (item.network.folder if item.network else None)
        if found is None:
            raise ModelMissing(f"{options.name} is not here; lipsync models list tells what is")
        place = found
    print(json.dumps({"path": str(place)}) if options.json else place)
    return 0


def _add(actions: Any, name: str, run: Command, told: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
    add_models_dir_to(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--debug", action="store_true", help="show where an unexpected failure comes from")
    parser.set_defaults(run=run)
    return parser


@contextmanager
def _shown(options: argparse.Namespace, monitor: Monitor) -> Iterator[None]:
    """Progress on the screen, if it is wanted."""
    if options.quiet or options.json:
        yield
        return
    display = Display()
    monitor.call(display)
    try:
        yield
    finally:
        display.clear()


def _shelf(store: Store) -> ModelRegistry:
    from lipsync.pipeline.model_registry import registry_of

    return registry_of(store)


def _problem(shelf: ModelRegistry, item: RegisteredModel, monitor: Monitor) -> str:
    try:
        shelf.verify(item, monitor)
    except ModelCorrupt as error:
        return str(error)
    return ""


def _report(options: argparse.Namespace, store: Store, item: RegisteredModel) -> int:
    if options.json:
        print(json.dumps(_as_json(store, item)))
    elif item.network is not None:
        _say(options, f"{item.name}: ready in {item.network.folder} ({item.network.form})")
    return 0


def _as_json(store: Store, item: RegisteredModel) -> dict[str, Any]:
    """One model as plain values: size in bytes, paths or null, whether its licence was agreed to."""
    network = item.network
    return {
        "name": item.name,
        "kind": item.kind,
        "state": item.state,
        "size": item.size,
        "licence": item.entry.licence if item.entry else None,
        "accepted": store.accepted(item.entry.name) if item.entry else None,
        "download": str(item.download) if item.download else None,
        "folder": str(network.folder) if network else None,
        "form": network.form if network else None,
        "sha256": network.sha256 if network else item.entry.sha256 if item.entry else None,
    }


def _say(options: argparse.Namespace, text: str) -> None:
    if text and not (options.quiet or options.json):
        print(text)


def _licence(item: RegisteredModel) -> str:
    return item.entry.licence if item.entry else YOURS


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
