"""Baseline: decode a file and encode it again with the product's default settings.

    python benchmarks/transcode.py VIDEO AUDIO OUTPUT [threaded]

``threaded`` turns on frame threads for decoding and encoding, which PyAV leaves off by default.
"""

from __future__ import annotations

import sys

import av
from av.audio.resampler import AudioResampler


def transcode(video: str, audio: str, output: str, threading: str = "") -> None:
    with av.open(video) as source, av.open(audio) as voice, av.open(output, "w") as out:
        stream = source.streams.video[0]
        encoder = out.add_stream("libx264", rate=stream.average_rate, options={"crf": "17", "preset": "veryfast"})
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        if threading:
            stream.thread_type = encoder.codec_context.thread_type = "AUTO"
        spoken = voice.streams.audio[0]
        speech = out.add_stream("aac", rate=spoken.rate, layout="mono", bit_rate=192_000)
        for frame in source.decode(stream):
            frame.pict_type = 0
            out.mux(encoder.encode(frame))
        out.mux(encoder.encode(None))
        resampler = AudioResampler("fltp", "mono", spoken.rate)
        for block in voice.decode(spoken):
            for part in resampler.resample(block):
                out.mux(speech.encode(part))
        out.mux(speech.encode(None))


if __name__ == "__main__":
    transcode(*sys.argv[1:])
