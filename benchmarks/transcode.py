"""The yardstick: one file decoded and encoded again with the product's default settings, and nothing else done to it.

python benchmarks/transcode.py VIDEO SOUND OUTPUT [threaded]

``threaded``: frames are decoded and encoded side by side, which PyAV has to be asked for.
"""

from __future__ import annotations

import sys

import av
from av.audio.resampler import AudioResampler


def transcode(video: str, sound: str, output: str, threading: str = "") -> None:
    with av.open(video) as source, av.open(sound) as voice, av.open(output, "w") as out:
        stream = source.streams.video[0]
        encoder = out.add_stream("libx264", rate=stream.average_rate, options={"crf": "17", "preset": "veryfast"})
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        if threading:
            stream.thread_type = encoder.codec_context.thread_type = "AUTO"
        heard = voice.streams.audio[0]
        speech = out.add_stream("aac", rate=heard.rate, layout="mono", bit_rate=192_000)
        for frame in source.decode(stream):
            frame.pict_type = 0
            out.mux(encoder.encode(frame))
        out.mux(encoder.encode(None))
        resampler = AudioResampler("fltp", "mono", heard.rate)
        for block in voice.decode(heard):
            for part in resampler.resample(block):
                out.mux(speech.encode(part))
        out.mux(speech.encode(None))


if __name__ == "__main__":
    transcode(*sys.argv[1:])
