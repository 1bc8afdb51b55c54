#!/usr/bin/env bash
# PyAV 18.1.0: the side data of a photo with Exif cannot be read.
#
# FFmpeg 8 attaches Exif to decoded frames as side data number 31. PyAV's enumeration ends at 27, and building the mapping
# frame.side_data raises ValueError("31 is not a valid Type"), also when only another kind is asked for, such as the
# DISPLAYMATRIX that the Exif orientation becomes. Every camera's photo has Exif; JPEG, PNG and WebP by Pillow show the same.
# Expected: unknown kinds are skipped, or get a number. FFmpeg's filter sidedata can delete the Exif, and the rest is read.
# Our guard: side data that PyAV cannot name is deleted first (lipsync.media.video_frames.is_mirrored).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np
from PIL import Image

ORIENTATION, UPSIDE_DOWN = 0x0112, 3
exif = Image.Exif()
exif[ORIENTATION] = UPSIDE_DOWN


def kinds(frame):
    try:
        return [data.type.name for data in frame.side_data]
    except ValueError as error:
        return str(error)


for name in ("photo.jpg", "photo.png", "photo.webp"):
    for tags in (None, exif):
        Image.new("RGB", (64, 48)).save(name, **({} if tags is None else {"exif": tags}))
        with av.open(name) as container:
            frame = next(container.decode(video=0))
            graph = av.filter.Graph()
            source = graph.add_buffer(template=container.streams.video[0])
            graph.link_nodes(source, graph.add("sidedata", "mode=delete:type=31"), graph.add("buffersink")).configure()
            graph.push(frame)
            cleaned = kinds(graph.pull())
        print(f"{name}, {'without' if tags is None else 'with'} Exif: {kinds(frame)}; after the filter: {cleaned}")
        if tags is None:
            assert kinds(frame) == cleaned == []
        else:
            assert kinds(frame) == "31 is not a valid Type" and cleaned == ["DISPLAYMATRIX"]
PYTHON
