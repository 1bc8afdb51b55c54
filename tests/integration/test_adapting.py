"""Adapting to the person in footage that talks, from the library's door."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import lipsync

CLIPS = Path(__file__).parents[3] / "shared" / "corpus" / "grid_other"
pytestmark = pytest.mark.skipif(not CLIPS.is_dir(), reason="needs footage of people who talk, in ../shared/corpus")


@pytest.fixture(scope="module")
def dubbed(tmp_path_factory) -> Path:
    """The first person's picture with the third one's sound."""
    path = tmp_path_factory.mktemp("dubbed") / "dubbed.mp4"
    with (
        av.open(str(CLIPS / "speaker1.mp4")) as picture,
        av.open(str(CLIPS / "speaker3.mp4")) as sound,
        av.open(str(path), "w") as out,
    ):
        streams = picture.streams.video[0], sound.streams.audio[0]
        copies = [out.add_stream_from_template(stream) for stream in streams]
        for stream, copy in zip(streams, copies, strict=True):
            for packet in stream.container.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
    return path


def test_a_person_who_talks_is_learnt_from_and_the_result_says_so(tmp_path):
    voice = CLIPS / "speaker3.mp4"
    result = lipsync.sync(CLIPS / "speaker1.mp4", voice, tmp_path / "out.mp4")
    assert result.adapted is not None
    assert result.adapted.seconds == pytest.approx(3, abs=0.2)
    assert len(result.adaptations) == 1
    off = lipsync.sync(CLIPS / "speaker1.mp4", voice, tmp_path / "off.mp4", adapt="off")
    assert off.adapted is None


def test_a_dubbed_video_teaches_nothing(dubbed, tmp_path):
    assert lipsync.sync(dubbed, CLIPS / "speaker2.mp4", tmp_path / "out.mp4").adapted is None


def test_another_clip_of_the_person_is_learnt_from(dubbed, tmp_path):
    result = lipsync.sync(dubbed, CLIPS / "speaker2.mp4", tmp_path / "out.mp4", reference=CLIPS / "speaker1.mp4")
    assert result.adapted is not None
    assert "study" in result.seconds
    assert result.inputs.reference is not None
