"""A thousand tasks of one second of footage through the whole service on one machine, and how it answers meanwhile.

python benchmarks/drain.py [--tasks 1000] [--port 8765]

Starts ``lipsync serve`` in an empty folder, with nothing else, and stops it at the end. The engine is ``passthrough``.
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
from measure import write_sound

FINAL = ("completed", "failed", "cancelled")


class Client:
    """The service at a port, and how long each of its answers took."""

    def __init__(self, port: int) -> None:
        self._base, self.key = f"http://127.0.0.1:{port}", ""
        self.took: dict[str, list[float]] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        request = urllib.request.Request(self._base + path, body, method=method, headers={"Content-Type": kind})
        request.add_header("Authorization", f"Bearer {self.key}")
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = answer.read()
        self.took.setdefault(f"{method} {path.split('?')[0].rstrip('0123456789abcdef')}", []).append(
            time.monotonic() - began
        )
        return json.loads(told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wishes = {"DATA_DIR": f"{folder}/data", "REQUESTS_PER_MINUTE": "1000000", "RUNNING_TASKS": "1000000"}
        environment = os.environ | {f"LIPSYNC_{name}": value for name, value in wishes.items()}
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
    files = footage(folder / "footage.mp4"), write_sound(tone(folder / "tone.wav"), folder / "sound.wav", 1)
    sent = [client.ask("POST", "/v1/uploads", path.read_bytes(), "application/octet-stream")["id"] for path in files]
    wish = {"video": {"upload": sent[0]}, "audio": {"upload": sent[1]}, "engines": ["passthrough"]}
    began = time.monotonic()
    tasks = [client.ask("POST", "/v1/tasks", json.dumps(wish).encode())["id"] for _ in range(count)]
    print(f"{count} tasks queued in {time.monotonic() - began:.1f} s", flush=True)
    waiting, ends = set(tasks), Counter[str]()
    while waiting:
        for task in sorted(waiting)[:20]:
            status = client.ask("GET", f"/v1/tasks/{task}")["status"]
            if status in FINAL:
                ends[status] += 1
                waiting.discard(task)
        client.ask("GET", "/v1/tasks?limit=50")
        time.sleep(0.2)
    seconds = time.monotonic() - began
    print(f"ended after {seconds:.1f} s, {count / seconds:.1f} tasks/s: {dict(ends)}")
    for name, took in client.took.items():
        taken = sorted(took)
        worst = taken[int(len(taken) * 0.99)]
        middle = statistics.median(taken)
        print(f"{name:<16} {len(taken):6d} times, median {middle * 1e3:.0f} ms, p99 {worst * 1e3:.0f} ms")


def wait_for(client: Client) -> None:
    for _ in range(300):
        try:
            client.ask("GET", "/readyz")
        except OSError:
            time.sleep(0.1)
        else:
            client.took.clear()
            return
    raise SystemExit("the service does not start")


def footage(path: Path) -> Path:
    """One second of grey that grows lighter, 192x96 at 25 frames/s."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        for k in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((96, 192), 60 + k, np.uint8), "gray8")))
        out.mux(stream.encode(None))
    return path


def tone(path: Path) -> Path:
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
