"""Sessions that stay open."""

from __future__ import annotations

import os

import numpy as np
import pytest
from onnx import TensorProto, helper

from lipsync.errors import ModelCorrupt, ModelMissing, OptionInvalid
from lipsync.models.session import start
from lipsync.models.session_cache import SessionCache


@pytest.fixture(scope="module")
def doubler() -> bytes:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([node], "doubler", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_model_is_opened_once_for_the_same_options(doubler):
    sessions = SessionCache()
    first = sessions.open(doubler, threads=1)
    assert sessions.open(bytes(bytearray(doubler)), threads=1) is first
    (result,) = first.run([np.ones(3, np.float32)])
    assert result.tolist() == [2, 2, 2]


@pytest.mark.parametrize("options", [{"threads": 2}, {"threads": 1, "shapes": (3,)}, {"threads": 1, "streams": 2}])
def test_other_options_open_another_session(doubler, options):
    sessions = SessionCache()
    assert sessions.open(doubler, **options) is not sessions.open(doubler, threads=1)
    assert len(sessions) == 2


def test_a_changed_file_is_opened_again(doubler, tmp_path):
    path, sessions = tmp_path / "network.onnx", SessionCache()
    path.write_bytes(doubler)
    first = sessions.open(path)
    assert sessions.open(path) is first
    os.utime(path, ns=(1, 1))
    assert sessions.open(path) is not first


def test_the_least_recently_used_session_is_dropped(doubler):
    sessions = SessionCache(max_sessions=2)
    one, two = (sessions.open(doubler, threads=1, streams=streams) for streams in (1, 2))
    assert sessions.open(doubler, threads=1, streams=1) is one
    sessions.open(doubler, threads=1, streams=3)
    assert sessions.open(doubler, threads=1, streams=1) is one
    assert sessions.open(doubler, threads=1, streams=2) is not two
    assert len(sessions) == 2


def test_an_idle_session_is_evicted_and_remains_usable(doubler):
    clock = Clock()
    sessions = SessionCache(clock=clock)
    old = sessions.open(doubler, threads=1)
    clock.now = 50.0
    new = sessions.open(doubler, threads=1, streams=2)
    clock.now = 100.0
    assert (sessions.evict(60), len(sessions)) == (1, 1)
    assert sessions.open(doubler, threads=1, streams=2) is new
    assert old.run([np.ones(1, np.float32)])[0].tolist() == [2]
    assert (sessions.evict(), len(sessions)) == (1, 0)


def test_devices_are_probed_once():
    sessions = SessionCache()
    assert sessions.runtime("cpu", "auto") is sessions.runtime("cpu", "auto")
    with pytest.raises(OptionInvalid):
        sessions.runtime("abacus", "auto")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelMissing):
        SessionCache().open(tmp_path / "gone.onnx")


def test_a_session_opened_later_is_the_one_that_open_returns(doubler):
    sessions = SessionCache()
    later, again = (sessions.open_later(doubler, threads=1) for _ in range(2))
    session = sessions.open(doubler, threads=1)
    assert len(sessions) == 1
    assert sessions.open_later(doubler, threads=1) is session
    for opened in (later, again):
        assert opened.run([np.ones(1, np.float32)])[0].tolist() == [2]
        assert start(opened, [np.ones(2, np.float32)]).result()[0].tolist() == [2, 2]
        assert (opened.device, opened.precision) == (session.device, session.precision)


def test_what_cannot_be_opened_later_fails_at_its_first_use():
    sessions = SessionCache()
    with pytest.raises(ModelCorrupt):
        sessions.open_later(b"not a network").run([])
    with pytest.raises(ModelCorrupt):
        sessions.open(b"not a network")
    assert len(sessions) == 0
