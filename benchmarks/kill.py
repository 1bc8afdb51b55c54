"""Kills the worker, the API and the broker with SIGKILL at random moments, again and again, and counts what is lost.

python benchmarks/kill.py [--rounds 50] [--port 8766] [--seed 0]

Needs redis-server, which it starts itself; the store is SQLite in an empty folder. Between two kills some tasks of the
``passthrough`` engine are queued. At the end every task has to be completed, each with its one file, and nothing else
may be left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from drain import FINAL, Client, footage, tone, wait_for
from measure import write_sound

LEASE = 5  # seconds


class Processes:
    """The three that are killed, by name; each is started again as it was."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        redis = port + 1
        wishes = {
            "DATA_DIR": f"{folder}/data",
            "BROKER_URL": f"redis://127.0.0.1:{redis}/0",
            "LEASE_SECONDS": str(LEASE),
            "REQUESTS_PER_MINUTE": "1000000",
            "RUNNING_TASKS": "1000000",
            "ATTEMPTS": "50",
            "RETRY_SECONDS": "1",
        }
        self.environment = os.environ | {f"LIPSYNC_{name}": value for name, value in wishes.items()}
        here = [sys.executable, "-m", "lipsync"]
        self._commands = {
            "broker": ["redis-server", "--port", str(redis), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"],
            "api": [*here, "serve", "--port", str(port)],
            "worker": [*here, "worker"],
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            call = self._commands[name]
            self._running[name] = subprocess.Popen(call, env=self.environment, cwd=self._folder, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self._running[name].kill()
        self._running[name].wait()

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--port", type=int, default=8766)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder), options.port)
        for name in ("broker", "api", "worker"):
            processes.start(name)
        try:
            client = Client(options.port)
            tasks = torment(client, processes, Path(folder), options)
            tell(client, tasks)
        finally:
            processes.stop()
        look(Path(folder, "data"), len(tasks))


def torment(client: Client, processes: Processes, folder: Path, options: argparse.Namespace) -> list[str]:
    """Queue and kill in turn; the tasks that the service said it has."""
    dice = random.Random(options.seed)
    wait_for(client)
    call = [sys.executable, "-m", "lipsync", "keys", "create", "kill", "--json"]
    told = subprocess.run(call, env=processes.environment, cwd=folder, capture_output=True, check=True)
    client.key = json.loads(told.stdout)["secret"]
    files = footage(folder / "footage.mp4"), write_sound(tone(folder / "tone.wav"), folder / "sound.wav", 1)
    kind = "application/octet-stream"
    sent = [patiently(lambda p=p: client.ask("POST", "/v1/uploads", p.read_bytes(), kind))["id"] for p in files]
    wish = json.dumps({"video": {"upload": sent[0]}, "audio": {"upload": sent[1]}, "engines": ["passthrough"]}).encode()
    tasks: list[str] = []
    killed = Counter[str]()
    for _ in range(options.rounds):
        asked = (patiently(lambda: client.ask("POST", "/v1/tasks", wish)) for _ in range(dice.randint(1, 4)))
        tasks.extend(task["id"] for task in asked)
        time.sleep(dice.uniform(0, 1.5))
        victim = dice.choice(["worker", "worker", "api", "broker"])
        processes.kill(victim)
        killed[victim] += 1
        time.sleep(dice.uniform(0, 0.5))
        processes.start(victim)
    print(f"{options.rounds} kills: {dict(killed)}; {len(tasks)} tasks", flush=True)
    return tasks


def patiently(ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Until the API is there again."""
    for _ in range(600):
        try:
            return ask()
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the API does not come back")


def tell(client: Client, tasks: list[str]) -> None:
    """Wait for all to end, and say how."""
    ends, attempts, began = Counter[str](), Counter[int](), time.monotonic()
    waiting = list(tasks)
    while waiting and time.monotonic() - began < 600:
        task = patiently(lambda: client.ask("GET", f"/v1/tasks/{waiting[0]}"))
        if task["status"] in FINAL:
            ends[task["status"]] += 1
            attempts[int(task["attempts"])] += 1
            waiting.pop(0)
        else:
            time.sleep(0.2)
    print(f"ended: {dict(ends)}, not ended: {len(waiting)}; by attempts: {dict(sorted(attempts.items()))}")


def look(data: Path, expected: int) -> None:
    """What lies on the disk."""
    results = [path for path in (data / "results").rglob("*") if path.is_file()]
    films = [path for path in results if path.suffix == ".mp4" and ".incoming" not in path.parts]
    contents = {hashlib.sha256(path.read_bytes()).hexdigest() for path in films}
    work = list((data / "work").iterdir()) if (data / "work").is_dir() else []
    others = sorted(str(path.relative_to(data)) for path in results if path not in films)
    print(f"{len(films)} files of {expected} tasks, {len(contents)} different; work in progress left: {len(work)}")
    print(f"other files: {others}")


if __name__ == "__main__":
    main()
