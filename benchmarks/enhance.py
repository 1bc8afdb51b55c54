"""Measure the accuracy, speed, seams and memory of the upscalers.

python benchmarks/enhance.py CLIPS [--names lanczos,span] [--frames 2] [--fourk]

CLIPS: a folder of videos. Frames are downscaled by 2, upscaled again and compared with the originals: PSNR and SSIM
(Wang et al., 2004) of luma. Speed: 720p to 1440p. Seams: the largest difference of a sample between tiles of 96 pixels
and one tile. ``--fourk``: upscale one 4K frame and print peak memory.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from lipsync.enhancers import UPSCALERS
from lipsync.enhancers.base import EnhancerContext, EnhancerOptions, Upscaler
from lipsync.enhancers.upscale.ncnn import NCNN_MODELS, load_network
from lipsync.enhancers.upscale.tiled import TiledUpscaler, UpscaleParams
from lipsync.enhancers.upscale.tiles import blank_frame, read_tile
from lipsync.errors import ModelMissing
from lipsync.frames.planes import writable_copy
from lipsync.media.probe import probe_video
from lipsync.media.reader import read
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.types import Frame


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("--names", default="lanczos,span,realesr-animevideov3")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--fourk", action="store_true")
    options = parser.parse_args()
    names, sessions = options.names.split(","), SessionCache()
    for clip in sorted(options.clips.glob("*.mp4")):
        frames = list(itertools.islice(read(probe_video(clip)), 0, 15 * options.frames, 15))
        for name in names:
            upscaler = open_upscaler(name, sessions)
            scores = np.mean([compare(upscaler, frame) for frame in frames], axis=0)
            print(f"{clip.stem[:28]:28s} {name:22s} PSNR {scores[0]:.2f} dB  SSIM {scores[1]:.4f}", flush=True)
    photo = resize(frames[0], 1280, 720)
    for name in names:
        report_speed(name, sessions, photo)
    if options.fourk:
        report_memory(names[-1], sessions, resize(frames[0], 3840, 2160))


def open_upscaler(name: str, sessions: SessionCache) -> Upscaler:
    def empty_store(name: str, half: bool) -> Path:
        raise ModelMissing(name)

    return UPSCALERS[name].open(2, EnhancerContext(EnhancerOptions(), sessions, Monitor(), empty_store))


def compare(upscaler: Upscaler, image: Frame) -> tuple[float, float]:
    truth, small = downscale(image)
    result = upscaler.upscale(small).y
    error = np.square(result.astype(np.float64) - truth).mean()
    return 10 * np.log10(255**2 / error), float(structural_similarity(truth, result))


def downscale(image: Frame) -> tuple[np.ndarray, Frame]:
    height, width = (side // 4 * 4 for side in image.y.shape)
    small = blank_frame(replace(image, y=image.y[: height // 2, : width // 2]), 1)
    tile = read_tile(image, 0, 0, (height, width), 2)[2:-2, 2:-2]
    less = cv2.resize(tile, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    small.y[:] = np.rint(less[..., 0])
    small.u[:], small.v[:] = (np.rint(less[::2, ::2, k]) for k in (1, 2))
    return image.y[:height, :width], small


def resize(image: Frame, width: int, height: int) -> Frame:
    sizes = [(width, height), (width // 2, height // 2), (width // 2, height // 2)]
    planes = [cv2.resize(p, s) for p, s in zip((image.y, image.u, image.v), sizes, strict=True)]
    return writable_copy(replace(image, y=planes[0], u=planes[1], v=planes[2]))


def report_speed(name: str, sessions: SessionCache, image: Frame) -> None:
    upscaler = open_upscaler(name, sessions)
    upscaler.upscale(image)
    start = time.perf_counter()
    upscaler.upscale(image)
    upscaler.upscale(image)
    rate = 2 / (time.perf_counter() - start)
    seam = 0
    if (name, 2) in NCNN_MODELS:
        part = resize(image, 400, 300)
        network = replace(load_network(name, 2, EnhancerOptions(precision="fp32"), sessions), psnr_oriented=False)
        one, other = (TiledUpscaler(network, UpscaleParams(2, side), Monitor()).upscale(part).y for side in (512, 96))
        seam = int(np.abs(one.astype(int) - other).max())
    print(f"{name:22s} {rate:.2f} frames/s at 720p, tiles differ by {seam} of 255", flush=True)


def report_memory(name: str, sessions: SessionCache, image: Frame) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    open_upscaler(name, sessions).upscale(image)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = time.perf_counter() - start
    print(f"{name}: 4K to 8K in {took:.0f} s, peak {peak / 1024:.0f} MB, {(peak - before) / 1024:.0f} more than before")


if __name__ == "__main__":
    main()
