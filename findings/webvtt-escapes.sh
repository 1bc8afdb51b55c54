#!/usr/bin/env bash
# pysubs2 1.8.1 and webvtt-py 0.6.0: the escapes of WebVTT are neither read nor written.
#
# WebVTT writes "&" as "&amp;" and "<" as "&lt;"; FFmpeg and browsers decode them. Both libraries return "Q&amp;A" as the text
# of a cue, which subtitles converted to SubRip then show, and a speech synthesizer reads aloud. In the other direction, text
# from SubRip goes into WebVTT unescaped: of "1 < 2 and 3 > 2", a player shows "1  2", as the middle is taken for a tag.
# Expected: the text as a player shows it, in both directions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysubs2==1.8.1 webvtt-py==0.6.0 av==18.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
from pathlib import Path

import av
import pysubs2
import webvtt


def shown(path):
    """The text of the first cue as FFmpeg decodes it."""
    with av.open(path) as container:
        subtitles = [item for packet in container.demux(subtitles=0) for item in packet.decode()]
    return subtitles[0].dialogue.decode()


Path("escaped.vtt").write_text("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nQ&amp;A: 1 &lt; 2\n")
texts = {
    "FFmpeg": shown("escaped.vtt"),
    "pysubs2": pysubs2.load("escaped.vtt")[0].plaintext,
    "webvtt-py": webvtt.read("escaped.vtt")[0].text,
}
print(texts)
assert texts == {"FFmpeg": "Q&A: 1 < 2", "pysubs2": "Q&amp;A: 1 &lt; 2", "webvtt-py": "Q&amp;A: 1 &lt; 2"}

Path("plain.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\n1 < 2 and 3 > 2\n")
pysubs2.load("plain.srt").save("pysubs2.vtt")
webvtt.from_srt("plain.srt").save("webvtt-py.vtt")
for path in ("pysubs2.vtt", "webvtt-py.vtt"):
    text = shown(path)
    print(f"{path} plays as {text!r}")
    assert "1 < 2 and 3 > 2" in Path(path).read_text() and text == "1  2"
PYTHON
