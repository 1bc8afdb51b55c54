"""Throughput of the whole service on one machine with a thousand one-second tasks, and its response times meanwhile.

python benchmarks/drain.py [--tasks 1000] [--port 8765]

Starts ``lipsync serve`` in an empty folder and stops it at the end. The engine is ``passthrough``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
from measure import write_audio

FINAL = ("completed", "failed", "cancelled")


class Client:
    """A client of the service at a port that records response times in seconds."""

    def __init__(self, port: int) -> None:
        self._base, self.key = f"http://127.0.0.1:{port}", ""
        self.took: dict[str, list[float]] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        request = urllib.request.Request(self._base + path, body, method=method, headers={"Content-Type": kind})
        request.add_header("Authorization", f"Bearer {self.key}")
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        self.took.setdefault(f"{method} {path.split('?')[0].rstrip('0123456789abcdef')}", []).append(
            time.monotonic() - began
        )
        return json.loads(content)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"DATA_DIR": f"{folder}/data", "REQUESTS_PER_MINUTE": "1000000", "MAX_ACTIVE_TASKS": "1000000"}
        environment = os.environ | {f"LIPSYNC_{name}": value for name, value in settings.items()}
        call = [sys.executable, "-m", "lipsync", "serve", "--port", str(options.port)]
        with subprocess.Popen(call, env=environment, cwd=folder, stderr=subprocess.DEVNULL) as service:
            try:
                drain(Client(options.port), Path(folder), environment, options.tasks)
            finally:
                service.terminate()


def drain(client: Client, folder: Path, environment: dict[str, str], count: int) -> None:
    wait_for(client)
    call = [sys.executable, "-m", "lipsync", "keys", "create", "drain", "--json"]
    client.key = json.loads(subprocess.run(call, env=environment, capture_output=True, check=True).stdout)["secret"]
    files = make_video(folder / "video.mp4"), write_audio(make_tone(folder / "tone.wav"), folder / "audio.wav", 1)
    uploads = [client.ask("POST", "/v1/uploads", path.read_bytes(), "application/octet-stream")["id"] for path in files]
    request = {"video": {"upload": uploads[0]}, "audio": {"upload": uploads[1]}, "engines": ["passthrough"]}
    began = time.monotonic()
    tasks = [client.ask("POST", "/v1/tasks", json.dumps(request).encode())["id"] for _ in range(count)]
    print(f"{count} tasks queued in {time.monotonic() - began:.1f} s", flush=True)
    waiting, statuses = set(tasks), Counter[str]()
    while waiting:
        for task in sorted(waiting)[:20]:
            status = client.ask("GET", f"/v1/tasks/{task}")["status"]
            if status in FINAL:
                statuses[status] += 1
                waiting.discard(task)
        client.ask("GET", "/v1/tasks?limit=50")
        time.sleep(0.2)
    seconds = time.monotonic() - began
    print(f"all ended after {seconds:.1f} s, {count / seconds:.1f} tasks/s: {dict(statuses)}")
    for name, took in client.took.items():
        taken = sorted(took)
        p99 = taken[int(len(taken) * 0.99)]
        median = statistics.median(taken)
        print(f"{name:<16} {len(taken):6d} requests, median {median * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms")


def wait_for(client: Client) -> None:
    for _ in range(300):
        try:
            client.ask("GET", "/readyz")
        except OSError:
            time.sleep(0.1)
        else:
            client.took.clear()
            return
    raise SystemExit("the service did not start")


def make_video(path: Path) -> Path:
    """Write one second of a brightening gray, 192x96 at 25 frames/s."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        for k in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((96, 192), 60 + k, np.uint8), "gray8")))
        out.mux(stream.encode(None))
    return path


def make_tone(path: Path) -> Path:
    """Write one second of a tone, mono at 16 kHz."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        wave = (np.sin(np.arange(16_000) * 0.1) * 8000).astype(np.int16)
        block = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        block.sample_rate = 16_000
        out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
