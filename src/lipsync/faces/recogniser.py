"""Distinguish people by embeddings of their faces.

The network is dlib's face recognition network, a ResNet of 29 layers (King, "Dlib-ml: A Machine Learning Toolkit",
JMLR 10, 2009; He et al., "Deep Residual Learning for Image Recognition", CVPR 2016). data/MODEL_CARD.md describes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Final

import numpy as np

from lipsync.errors import ModelMissing
from lipsync.faces.geometry import fit_similarity
from lipsync.frames.rgb import warp_rgb
from lipsync.models.session import Session
from lipsync.models.session_cache import SessionCache
from lipsync.types import Face, Float32, Frame

SIDE: Final = 150  # pixels of an aligned face
NUMBERS: Final = 128  # in an embedding
# Points of the mesh, and where they lie in an aligned face: the corners of the eyes, and the base of the nose.
ALIGNED: Final = (263, 362, 33, 133, 2)
PLACES: Final = np.array([(111, 46), (90, 48), (37, 46), (59, 48), (74, 88)], np.float32)


class Recogniser:
    """Embeds faces. Open it with ``Recogniser.open`` in a ``with`` block."""

    def __init__(self, sessions: SessionCache) -> None:
        self._sessions = sessions
        self._session: Session | None = None

    @classmethod
    @contextmanager
    def open(cls, sessions: SessionCache) -> Iterator[Recogniser]:
        """The network is opened when it is first needed, which most videos never do, and forgotten at the end."""
        recogniser = cls(sessions)
        try:
            yield recogniser
        finally:
            if recogniser._session is not None:
                sessions.forget(recogniser._session)

    def embed(self, views: Sequence[Float32]) -> Float32:
        """The embeddings (n, 128) of aligned faces, each as ``aligned`` returns it.

        Their Euclidean distances distinguish people. Raises ModelMissing, ModelCorrupt, InferenceFailed.
        """
        if self._session is None:
            self._session = self._sessions.open(_network(), shapes=(1, 3, SIDE, SIDE))
        session = self._session
        rows = [session.run([view.transpose(2, 0, 1)[None]])[0][0] for view in views]
        return np.stack(rows) if rows else np.zeros((0, NUMBERS), np.float32)


def aligned(frame: Frame, face: Face) -> Float32:
    """The face in RGB (150, 150, 3), 0..1, its eyes and nose where the network expects them."""
    return warp_rgb(frame, fit_similarity(PLACES, face.landmarks[list(ALIGNED), :2]), (SIDE, SIDE))


def recogniser_checksum() -> str:
    """The SHA-256 of the bundled network. Raises ModelMissing."""
    return hashlib.sha256(_network()).hexdigest()


def _network() -> bytes:
    try:
        return (resources.files("lipsync.faces") / "data" / "face_recogniser.onnx").read_bytes()
    except FileNotFoundError as exc:
        message = "the face recognition network (faces/data/face_recogniser.onnx) is missing. Reinstall the package"
        raise ModelMissing(message) from exc
