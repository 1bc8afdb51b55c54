"""``lipsync models``: fetch, import, list, verify and remove models."""

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
IMPORTED_LICENSE = "see the imported file"
Command = Callable[[argparse.Namespace, Monitor], int]


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Manages the models that some engines and enhancers need. Only fetch uses the network."
    parser.epilog = "example: lipsync models import wav2lip_gan.pth"
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add(actions, "list", run_list, "list known and installed models")
    fetch = _add(actions, "fetch", run_fetch, "download a published model and convert it")
    fetch.add_argument("name", metavar="NAME", help="name shown by lipsync models list")
    fetch.add_argument(
        "--accept-license", action="store_true", help="accept the license that is shown; recorded in the models folder"
    )
    add_file = _add(actions, "import", run_import, "convert a checkpoint: PyTorch .pth or .pt, or .onnx")
    add_file.add_argument("file", type=Path, metavar="FILE", help="checkpoint; no code in it is executed")
    add_file.add_argument("--name", default=None, help="name of the model (default: stem of the file name)")
    verify = _add(actions, "verify", run_verify, "verify the checksums of installed models")
    verify.add_argument("name", metavar="NAME", nargs="?", help="model to verify (default: all)")
    remove = _add(actions, "remove", run_remove, "delete a model")
    remove.add_argument("name", metavar="NAME", help="name shown by lipsync models list")
    where = _add(actions, "where", run_where, "print the path of the models folder or of one model")
    where.add_argument("name", metavar="NAME", nargs="?", help="model (default: the folder of all)")


def add_models_dir_to(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help=f"folder of installed models (default: ${FOLDER_VARIABLE} or the user's data folder)",
    )


def store_of(options: argparse.Namespace) -> Store:
    """Open the store at --models-dir, else at $LIPSYNC_MODELS, else in the user's data folder."""
    from lipsync.models.store import Store, default_folder

    configured = os.environ.get(FOLDER_VARIABLE)
    return Store(options.models_dir or (Path(configured) if configured else default_folder()))


def run_list(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    items = _registry(store).items()
    if options.json:
        print(json.dumps({"folder": str(store.folder), "models": [_as_json(store, item) for item in items]}))
        return 0
    names = max(len(item.name) for item in items) if items else 0
    for item in items:
        columns = f"{item.name:<{names}}  {item.kind:<9}  {item.state:<10}  {_megabytes(item.size):>7}"
        print(f"{columns}  {_license(item)}")
    return 0


def run_fetch(options: argparse.Namespace, monitor: Monitor) -> int:
    return fetch_into(store_of(options), options, monitor)


def fetch_into(store: Store, options: argparse.Namespace, monitor: Monitor) -> int:
    """Download and convert the model that the options name, if its license is accepted."""
    from lipsync.models.onnx_builder import onnx_package

    name, registry = options.name, _registry(store)
    info = store.info(name)
    _print(options, f"{name}: {_megabytes(info.size)}; license: {info.license}")
    if options.accept_license:
        store.accept_license(name)
    if store.is_license_accepted(name):
        onnx_package()  # fails before the download if onnx is missing
    with _progress(options, monitor):
        store.fetch(name, monitor)
        registry.convert(store.path_of(name), monitor)
    return _report(options, store, registry.item(name))


def run_import(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    registry = _registry(store)
    with _progress(options, monitor):
        network = registry.import_file(options.file, options.name, monitor)
    item = registry.item(network.name)
    if item.info is not None:
        _print(options, f"{item.name}: license: {item.info.license}")
    return _report(options, store, item)


def run_verify(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    registry = _registry(store)
    items = [registry.item(options.name)] if options.name else registry.items()
    installed = [item for item in items if item.download or item.model]
    if options.name and not installed:
        raise ModelMissing(f"model {options.name!r} is not installed; see lipsync models list")
    with _progress(options, monitor):
        problems = {item.name: _problem(registry, item, monitor) for item in installed}
    if options.json:
        findings = [{"name": name, "ok": not problem, "detail": problem} for name, problem in problems.items()]
        print(json.dumps({"folder": str(store.folder), "findings": findings}))
    else:
        for name, problem in problems.items():
            print(f"{name}: {problem or 'ok'}")
        _print(options, f"no models installed in {store.folder}" if not problems else "")
    return EXIT_CODES[ModelCorrupt] if any(problems.values()) else 0


def run_remove(options: argparse.Namespace, monitor: Monitor) -> int:
    _registry(store_of(options)).remove(options.name)
    if options.json:
        print(json.dumps({"removed": options.name}))
    else:
        _print(options, f"{options.name}: removed")
    return 0


def run_where(options: argparse.Namespace, monitor: Monitor) -> int:
    store = store_of(options)
    path = store.folder
    if options.name:
        item = _registry(store).item(options.name)
        found = item.download or (item.model.folder if item.model else None)
        if found is None:
            raise ModelMissing(f"model {options.name!r} is not installed; see lipsync models list")
        path = found
    print(json.dumps({"path": str(path)}) if options.json else path)
    return 0


def _add(actions: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_models_dir_to(parser)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected failure")
    parser.set_defaults(run=run)
    return parser


@contextmanager
def _progress(options: argparse.Namespace, monitor: Monitor) -> Iterator[None]:
    """Show progress within the block, unless --quiet or --json is given."""
    if options.quiet or options.json:
        yield
        return
    display = Display()
    monitor.call(display)
    try:
        yield
    finally:
        display.clear()


def _registry(store: Store) -> ModelRegistry:
    from lipsync.pipeline.model_registry import registry_of

    return registry_of(store)


def _problem(registry: ModelRegistry, item: RegisteredModel, monitor: Monitor) -> str:
    try:
        registry.verify(item, monitor)
    except ModelCorrupt as error:
        return str(error)
    return ""


def _report(options: argparse.Namespace, store: Store, item: RegisteredModel) -> int:
    if options.json:
        print(json.dumps(_as_json(store, item)))
    elif item.model is not None:
        _print(options, f"{item.name}: ready in {item.model.folder} ({item.model.format})")
    return 0


def _as_json(store: Store, item: RegisteredModel) -> dict[str, Any]:
    """Convert a model to plain values: size in bytes, paths or null, whether its license is accepted."""
    network = item.model
    return {
        "name": item.name,
        "kind": item.kind,
        "state": item.state,
        "size": item.size,
        "license": item.info.license if item.info else None,
        "accepted": store.is_license_accepted(item.info.name) if item.info else None,
        "download": str(item.download) if item.download else None,
        "folder": str(network.folder) if network else None,
        "format": network.format if network else None,
        "sha256": network.sha256 if network else item.info.sha256 if item.info else None,
    }


def _print(options: argparse.Namespace, text: str) -> None:
    if text and not (options.quiet or options.json):
        print(text)


def _license(item: RegisteredModel) -> str:
    return item.info.license if item.info else IMPORTED_LICENSE


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
