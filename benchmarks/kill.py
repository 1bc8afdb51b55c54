"""Kill the worker, the API, the broker and the store with SIGKILL at random moments, and count losses.

python benchmarks/kill.py [--rounds 50] [--store sqlite|postgresql] [--broker redis|rabbitmq] [--seconds 1] [--seed 0]

Starts all servers itself, in an empty folder on separate loopback ports, and leaves nothing behind: the programs must
be installed, no server needs to run. Some tasks of the ``passthrough`` engine are queued between two kills. Processes
that exit are restarted, as a service manager would do. At the end every task must be completed, or failed with a
reason, once and with exactly one file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from drain import FINAL, Client, make_tone, make_video, wait_for
from measure import write_audio

from lipsync.tasks.store import open_store
from lipsync.tasks.task import Task

LEASE_SECONDS = 5
RECOVERY_TIMEOUT = 120.0  # seconds for the service to answer again
SETTLE_TIMEOUT = 600.0  # seconds for all tasks to end after the last kill
CLEANUP_TIMEOUT = 90.0  # seconds more for a worker to remove orphaned folders
STOP_TIMEOUT = 30.0  # seconds for a process to exit
COMPLETED = re.compile(r"task ([0-9a-f]{32}): completed after")
FOLDERS = Path("/usr/lib/rabbitmq/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@dataclass(frozen=True)
class Program:
    """A command, its user (None: the current one), and the signal that ends it in good order."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    end: signal.Signals = signal.SIGTERM


class Processes:
    """Running processes by name, in sessions of their own, so that Ctrl-C in the terminal does not reach them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, Program] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts = Counter[str]()

    def run(self, name: str, program: Program) -> None:
        self._programs[name] = program
        self.start(name)

    def start(self, name: str) -> None:
        program = self._programs[name]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=os.environ | program.environment,
                start_new_session=True,
                user=program.user,
                group=None if program.user is None else pwd.getpwnam(program.user).pw_gid,
                extra_groups=None if program.user is None else [],
            )

    def kill(self, name: str) -> None:
        process = self._running[name]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the whole group, because scripts start some of them
        process.wait()

    def sleep(self, seconds: float) -> None:
        """Sleep, and restart processes that have exited, for example because a server they need was not ready."""
        end = time.monotonic() + seconds
        while (remaining := end - time.monotonic()) > 0:
            time.sleep(min(remaining, 0.5))
            for name, process in self._running.items():
                if process.poll() is not None:
                    self.restarts[name] += 1
                    self.start(name)

    def stop(self, *names: str) -> dict[str, int]:
        """Stop the named processes, or all in reverse order of their start; returns exit statuses."""
        statuses = {}
        for name in names or tuple(reversed(self._running)):
            process = self._running.pop(name)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, self._programs[name].end)
            try:
                statuses[name] = process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._running[name] = process
                self.kill(name)
                statuses[name] = self._running.pop(name).returncode
        return statuses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--attempts", type=int, default=50, help="maximum attempts of each task")
    parser.add_argument(
        "--seconds", type=int, default=1, help="length of the video; longer ones are killed at work more often"
    )
    parser.add_argument("--pause", type=float, help="maximum seconds between two kills")
    parser.add_argument("--port", type=int, default=8766, help="first of five consecutive ports")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory() as name, service(Path(name), options) as (processes, environment):
        folder = Path(name)
        try:
            client = Client(options.port)
            tasks = disrupt(client, processes, folder, environment, options)
            wait_for_end(client, processes, tasks)
            wait_for_cleanup(processes, folder / "data" / "work")
        except BaseException:
            show_logs(folder)
            raise
        print(f"restarted after an exit: {dict(processes.restarts)}")
        print(f"exit status after SIGTERM: {processes.stop('api', 'worker')}")
        report(folder, environment["LIPSYNC_DATABASE_URL"], tasks)


@contextmanager
def service(folder: Path, options: argparse.Namespace) -> Iterator[tuple[Processes, dict[str, str]]]:
    """Run all processes; yields them and the service's environment."""
    folder.chmod(0o711)  # PostgreSQL's user must be able to enter
    processes, port = Processes(folder), options.port
    try:
        environment = {
            "LIPSYNC_DATA_DIR": f"{folder}/data",
            "LIPSYNC_DATABASE_URL": STORES[options.store](processes, folder, port + 1),
            "LIPSYNC_BROKER_URL": BROKERS[options.broker](processes, folder, port + 2),
            "LIPSYNC_LEASE_SECONDS": str(LEASE_SECONDS),
            "LIPSYNC_REQUESTS_PER_MINUTE": "1000000",
            "LIPSYNC_MAX_ACTIVE_TASKS": "1000000",
            "LIPSYNC_MAX_ATTEMPTS": str(options.attempts),
            "LIPSYNC_RETRY_DELAY_SECONDS": "1",
        }
        command = [sys.executable, "-m", "lipsync"]
        processes.run("api", Program([*command, "serve", "--port", str(port)], environment))
        processes.run("worker", Program([*command, "worker"], environment))
        yield processes, environment
    finally:
        processes.stop()


def sqlite(processes: Processes, folder: Path, port: int) -> str:
    """A file, which needs no process."""
    return f"sqlite:///{folder}/data/tasks.db"


def postgresql(processes: Processes, folder: Path, port: int) -> str:
    """A separate cluster. It does not run as root; its children take a moment to notice that it was killed."""
    home = folder / "store"
    home.mkdir()
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(home, user)
    call = [program("initdb"), "-D", str(home), "-U", "lipsync", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run(call, user=user, cwd=home, check=True, stdout=subprocess.DEVNULL, timeout=RECOVERY_TIMEOUT)
    listen = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={home}", "-p", str(port)]
    processes.run("store", Program([program("postgres"), "-D", str(home), *listen], {}, user, signal.SIGINT))
    wait_for_port(port)
    return f"postgresql://lipsync@127.0.0.1:{port}/postgres"


def redis(processes: Processes, folder: Path, port: int) -> str:
    """A server without persistence: a kill loses all its messages."""
    call = [program("redis-server"), "--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    processes.run("broker", Program(call))
    return f"redis://127.0.0.1:{port}/0"


def rabbitmq(processes: Processes, folder: Path, port: int) -> str:
    """A separate node with persistent queues, and a separate port mapper, which is never killed."""
    home = folder / "broker"
    home.mkdir()
    empty = home / "empty"
    empty.touch()
    erlang = {"HOME": str(home), "ERL_EPMD_PORT": str(port + 2), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    node = {
        "NODENAME": "kill@localhost",
        "NODE_PORT": str(port),
        "NODE_IP_ADDRESS": "127.0.0.1",
        "DIST_PORT": str(port + 1),
        "MNESIA_BASE": f"{home}/mnesia",
        "LOG_BASE": str(home),
        "LOGS": "-",
        "CONF_ENV_FILE": str(empty),
        "CONFIG_FILE": f"{home}/none",
        "ENABLED_PLUGINS_FILE": f"{home}/plugins",
    }
    processes.run("epmd", Program([program("epmd")], erlang))
    wait_for_port(port + 2)
    environment = erlang | {f"RABBITMQ_{name}": value for name, value in node.items()}
    processes.run("broker", Program([program("rabbitmq-server")], environment))
    wait_for_port(port)
    return f"amqp://guest:guest@127.0.0.1:{port}//"


STORES: Mapping[str, Callable[[Processes, Path, int], str]] = {"sqlite": sqlite, "postgresql": postgresql}
BROKERS: Mapping[str, Callable[[Processes, Path, int], str]] = {"redis": redis, "rabbitmq": rabbitmq}


def program(name: str) -> str:
    """Path of a program. Debian's rabbitmq-server on PATH is a wrapper that changes the user."""
    path = shutil.which(name, path=os.pathsep.join([*map(str, FOLDERS), os.environ.get("PATH", "")]))
    if path is None:
        raise SystemExit(f"{name} is not installed")
    return path


def wait_for_port(port: int) -> None:
    end = time.monotonic() + RECOVERY_TIMEOUT
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


def disrupt(
    client: Client, processes: Processes, folder: Path, environment: dict[str, str], options: argparse.Namespace
) -> list[str]:
    """Queue tasks and kill processes alternately; returns the ids of the accepted tasks."""
    rng = random.Random(options.seed)
    pause = options.pause or (6.0 if options.broker == "rabbitmq" else 1.5)  # includes the start-up time
    wait_for(client)
    call = [sys.executable, "-m", "lipsync", "keys", "create", "kill", "--json"]
    created = subprocess.run(call, env=os.environ | environment, cwd=folder, capture_output=True, check=True)
    client.key = json.loads(created.stdout)["secret"]
    files = (
        make_video(folder / "video.mp4"),
        write_audio(make_tone(folder / "tone.wav"), folder / "audio.wav", options.seconds),
    )
    kind = "application/octet-stream"
    uploads = [client.ask("POST", "/v1/uploads", path.read_bytes(), kind)["id"] for path in files]
    body = {"video": {"upload": uploads[0]}, "audio": {"upload": uploads[1]}, "engines": ["passthrough"]}
    victims = ["worker", "worker", "api", "broker", *(["store"] if options.store == "postgresql" else [])]
    tasks: list[str] = []
    killed = Counter[str]()
    for _ in range(options.rounds):
        for _ in range(rng.randint(1, 4)):
            key = f"kill-{len(tasks)}"
            tasks.append(retry(processes, partial(submit, options.port, client.key, body, key))["id"])
        processes.sleep(rng.uniform(0, pause))
        victim = rng.choice(victims)
        processes.kill(victim)
        killed[victim] += 1
        time.sleep(rng.uniform(0, 0.5))
        processes.start(victim)
    print(f"{options.rounds} kills: {dict(killed)}; {len(tasks)} tasks", flush=True)
    return tasks


def submit(port: int, key: str, body: dict[str, Any], idempotency_key: str) -> Any:
    """Create a task; a repeated request with the same idempotency key returns the same task."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/tasks", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def retry(processes: Processes, ask: Callable[[], Any]) -> Any:
    """Repeat a request until the API and the servers it needs are available again."""
    end, last = time.monotonic() + RECOVERY_TIMEOUT, ""
    while time.monotonic() < end:
        try:
            return ask()
        except (OSError, http.client.HTTPException) as exc:
            last = f"{type(exc).__name__}: {exc}"
            processes.sleep(0.1)
    raise SystemExit(f"the API is still unavailable: {last}")


def wait_for_end(client: Client, processes: Processes, tasks: list[str]) -> None:
    """Wait until all tasks have ended, and print how long that took."""
    began = time.monotonic()
    waiting = list(tasks)
    while waiting and time.monotonic() - began < SETTLE_TIMEOUT:
        task = retry(processes, lambda: client.ask("GET", f"/v1/tasks/{waiting[0]}"))
        if task["status"] in FINAL:
            waiting.pop(0)
        else:
            processes.sleep(0.2)
    print(f"not ended: {len(waiting)}, {time.monotonic() - began:.0f} s after the last kill", flush=True)


def wait_for_cleanup(processes: Processes, work: Path) -> None:
    end = time.monotonic() + CLEANUP_TIMEOUT
    while work.is_dir() and any(work.iterdir()) and time.monotonic() < end:
        processes.sleep(1)


def report(folder: Path, database: str, expected_ids: list[str]) -> None:
    """Print a summary of the store, of the files on disk, and of tasks completed more than once."""
    tasks = all_tasks(database)
    print(
        f"ended: {dict(Counter(str(task.status) for task in tasks))}; unexpected or missing tasks: "
        f"{len({task.id for task in tasks} ^ set(expected_ids))}"
    )
    errors = Counter(task.error.code if task.error else "none" for task in tasks if task.status == "failed")
    print(f"errors of failed tasks: {dict(errors)}; leases left: {sum(t.lease_owner is not None for t in tasks)}")
    print(f"attempts: {dict(sorted(Counter(task.attempts for task in tasks).items()))}")
    times = Counter(COMPLETED.findall((folder / "worker.log").read_text(errors="replace")))
    print(f"completed more than once: {sum(count > 1 for count in times.values())}")
    data = folder / "data"
    expected = {key for task in tasks for key in task.files}
    actual = {str(path.relative_to(data / "results")) for path in (data / "results").rglob("*") if path.is_file()}
    print(f"files: {len(actual)}; missing: {sorted(expected - actual)}; orphans: {sorted(actual - expected)}")
    remaining = {name: len(list((data / name).iterdir())) for name in ("work", "uploads") if (data / name).is_dir()}
    print(f"work folders left: {remaining.get('work', 0)}; uploads: {remaining.get('uploads', 0)} of 2")


def all_tasks(database: str) -> list[Task]:
    tasks: list[Task] = []
    cursor = None
    with open_store(database) as store:
        while True:
            page = store.list(cursor=cursor, limit=500)
            tasks.extend(page.tasks)
            if (cursor := page.next_cursor) is None:
                return tasks


def show_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
