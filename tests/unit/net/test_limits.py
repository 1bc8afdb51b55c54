"""Limits on the size and origin of inputs."""

from __future__ import annotations

import pytest

from lipsync.errors import SettingInvalid
from lipsync.net import Limits


def test_an_invalid_network_is_rejected():
    with pytest.raises(SettingInvalid, match="INPUT_ALLOWED_HOSTS"):
        Limits(allowed_hosts=("10.0.0.0/99",))
    Limits(allowed_hosts=("10.0.0.0/8", "films.test", "::1", "fd00::/8"))
