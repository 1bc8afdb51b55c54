"""Make docs/before-after.webp, the moving picture of the README, from the media of ``lipsync demo``.

    python scripts/make_readme_picture.py

Needs nothing but the package. Both halves show the same frames: the bundled clip and the clip re-animated to the voice.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av

import lipsync
from lipsync.demo import demo_media, write_comparison

TARGET = Path(__file__).parent.parent / "docs/before-after.webp"
WIDTH, HEIGHT = 840, 420  # pixels
EVERY_NTH_FRAME = 1  # 25 frames/s
QUALITY = "75"  # of 100


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result, comparison = Path(folder) / "result.mp4", Path(folder) / "comparison.mp4"
        with demo_media() as media:
            lipsync.sync(media.clip, media.voice, result)
            write_comparison(media.clip, result, comparison)
        encode_webp(comparison, TARGET)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


def encode_webp(source: Path, target: Path) -> None:
    with av.open(str(source)) as video, av.open(str(target), "w", format="webp", options={"loop": "0"}) as output:
        rate = Fraction(25, EVERY_NTH_FRAME)
        options = {"quality": QUALITY, "compression_level": "6"}
        stream = output.add_stream("libwebp_anim", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, frame in enumerate(video.decode(video=0)):
            if index % EVERY_NTH_FRAME:
                continue
            small = frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="LANCZOS")
            small.pts, small.time_base = index // EVERY_NTH_FRAME, 1 / rate
            output.mux(stream.encode(small))
        output.mux(stream.encode(None))


if __name__ == "__main__":
    main()
