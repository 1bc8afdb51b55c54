"""How the pipeline finds the models of enhancers."""

from __future__ import annotations

import pytest

from lipsync.enhancers import RESTORERS, UPSCALERS
from lipsync.errors import CheckpointMismatch, ModelMissing, OptionInvalid
from lipsync.models.catalogue import CATALOGUE
from lipsync.models.store import Store
from lipsync.monitor import Monitor
from lipsync.pipeline.model_registry import CONVERTERS, StoredWeights, registry_of

pytest.importorskip("onnx", reason="builds the models")

QUIET = Monitor()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_checkpoint, upscaler_weights, face_restorer):
    """A store with an upscaler and a restorer."""
    folder = tmp_path_factory.mktemp("files")
    registry = registry_of(Store(folder / "models"))
    upscaler = write_checkpoint(folder / "a.pth", upscaler_weights("srvgg", 4))
    registry.import_file(upscaler, "realesr-general-x4v3", QUIET)
    registry.import_file(upscaler, "gpen-bfr-512", QUIET)
    (folder / "b.onnx").write_bytes(face_restorer())
    registry.import_file(folder / "b.onnx", "gfpgan-1.4", QUIET)
    return folder / "models"


def test_half_precision_is_used_if_requested_and_available(folder):
    find = StoredWeights(folder, QUIET)
    assert find("realesr-general-x4v3", False).name == "network.onnx"
    assert find("realesr-general-x4v3", True).name == "network-half.onnx"
    assert find("gfpgan-1.4", False).name == find("gfpgan-1.4", True).name == "network.onnx"
    assert all(find(name, half).is_file() for name in ("realesr-general-x4v3", "gfpgan-1.4") for half in (False, True))


@pytest.mark.parametrize("name", ["codeformer", "realesrgan-x2plus"])
def test_a_missing_model_names_the_commands_that_install_it(folder, name):
    with pytest.raises(ModelMissing) as caught:
        StoredWeights(folder, QUIET)(name, False)
    assert f"lipsync models fetch {name} --accept-license" in str(caught.value)
    assert f"lipsync models import FILE --name {name}" in str(caught.value)


def test_an_upscaler_under_a_restorers_name_is_refused(folder):
    with pytest.raises(CheckpointMismatch, match="is of kind upscaler: expected restorer"):
        StoredWeights(folder, QUIET)("gpen-bfr-512", False)


def test_every_model_in_the_catalogue_has_a_consumer_of_its_kind():
    stored = {name for name, entry in CATALOGUE.items() if entry.kind != "generator"}
    assert {name for name, entry in CATALOGUE.items() if entry.kind == "restorer"} == set(RESTORERS)
    assert stored <= {*RESTORERS, *UPSCALERS}
    assert {entry.kind for entry in CATALOGUE.values()} == {converter.kind for converter in CONVERTERS}


@pytest.mark.parametrize("name", ["lanczos", "span", "realesr-animevideov3", "rewrite"])
def test_importing_under_a_reserved_name_is_refused(folder, tmp_path, name):
    with pytest.raises(OptionInvalid, match="is reserved"):
        registry_of(Store(folder)).import_file(tmp_path / "any.pth", name, QUIET)
