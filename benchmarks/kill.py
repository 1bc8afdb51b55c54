"""Kills the worker, the API, the broker and the store with SIGKILL at random moments, and counts what is lost.

python benchmarks/kill.py [--rounds 50] [--store sqlite|postgresql] [--broker redis|rabbitmq] [--seconds 1] [--seed 0]

Starts everything itself, in an empty folder, on loopback ports of its own, and leaves nothing behind: it needs the
programs of the servers, not the servers. Between two kills some tasks of the ``passthrough`` engine are queued. What
ends by itself is started again, as a service manager would do it. At the end every task has to be completed, or failed
with a reason; each once, each with its one file, and nothing else may be left.
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

from drain import FINAL, Client, footage, tone, wait_for
from measure import write_sound

from lipsync.tasks.store import open_store
from lipsync.tasks.task import Task

LEASE = 5  # seconds
PATIENCE = 120.0  # seconds for the service to be there again
SETTLING = 600.0  # seconds for all tasks to end, after the last kill
SWEPT = 90.0  # seconds more for a worker to tidy up
GOODBYE = 30.0  # seconds for a process that is told to end
COMPLETED = re.compile(r"task ([0-9a-f]{32}): completed after")
FOLDERS = Path("/usr/lib/rabbitmq/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@dataclass(frozen=True)
class Program:
    """What is run: as whom (None: as we are), and by which signal it ends in good order."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    end: signal.Signals = signal.SIGTERM


class Processes:
    """Those that run, by name; each is started again as it was. They know nothing of Ctrl-C at our terminal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, Program] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.again = Counter[str]()

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
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own, for some are started by a script
        process.wait()

    def rest(self, seconds: float) -> None:
        """Let time pass, and start again what has ended by itself, such as what came up before what it needs."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            for name, process in self._running.items():
                if process.poll() is not None:
                    self.again[name] += 1
                    self.start(name)

    def stop(self, *names: str) -> dict[str, int]:
        """The last that was started first, unless names are given; how they ended."""
        ends = {}
        for name in names or tuple(reversed(self._running)):
            process = self._running.pop(name)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, self._programs[name].end)
            try:
                ends[name] = process.wait(GOODBYE)
            except subprocess.TimeoutExpired:
                self._running[name] = process
                self.kill(name)
                ends[name] = self._running.pop(name).returncode
        return ends


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--attempts", type=int, default=50, help="for each task")
    parser.add_argument("--seconds", type=int, default=1, help="of footage; the longer, the more is killed at work")
    parser.add_argument("--pause", type=float, help="seconds between two kills, at most")
    parser.add_argument("--port", type=int, default=8766, help="of five in a row")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory() as name, everything(Path(name), options) as (processes, environment):
        folder = Path(name)
        try:
            client = Client(options.port)
            tasks = torment(client, processes, folder, environment, options)
            tell(client, processes, tasks)
            until_tidy(processes, folder / "data" / "work")
        except BaseException:
            show_logs(folder)
            raise
        print(f"started again because they had ended by themselves: {dict(processes.again)}")
        print(f"exit status when told to end: {processes.stop('api', 'worker')}")
        look(folder, environment["LIPSYNC_DATABASE_URL"], tasks)


@contextmanager
def everything(folder: Path, options: argparse.Namespace) -> Iterator[tuple[Processes, dict[str, str]]]:
    """All that is needed, running; with the service's settings."""
    folder.chmod(0o711)  # PostgreSQL's user goes through it
    processes, port = Processes(folder), options.port
    try:
        environment = {
            "LIPSYNC_DATA_DIR": f"{folder}/data",
            "LIPSYNC_DATABASE_URL": STORES[options.store](processes, folder, port + 1),
            "LIPSYNC_BROKER_URL": BROKERS[options.broker](processes, folder, port + 2),
            "LIPSYNC_LEASE_SECONDS": str(LEASE),
            "LIPSYNC_REQUESTS_PER_MINUTE": "1000000",
            "LIPSYNC_MAX_ACTIVE_TASKS": "1000000",
            "LIPSYNC_MAX_ATTEMPTS": str(options.attempts),
            "LIPSYNC_RETRY_DELAY_SECONDS": "1",
        }
        here = [sys.executable, "-m", "lipsync"]
        processes.run("api", Program([*here, "serve", "--port", str(port)], environment))
        processes.run("worker", Program([*here, "worker"], environment))
        yield processes, environment
    finally:
        processes.stop()


def sqlite(processes: Processes, folder: Path, port: int) -> str:
    """A file needs no process."""
    return f"sqlite:///{folder}/data/tasks.db"


def postgresql(processes: Processes, folder: Path, port: int) -> str:
    """A cluster of its own. It does not run as root, and when it is killed its children take a moment to notice."""
    home = folder / "store"
    home.mkdir()
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(home, user)
    call = [program("initdb"), "-D", str(home), "-U", "lipsync", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run(call, user=user, cwd=home, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
    listen = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={home}", "-p", str(port)]
    processes.run("store", Program([program("postgres"), "-D", str(home), *listen], {}, user, signal.SIGINT))
    until_open(port)
    return f"postgresql://lipsync@127.0.0.1:{port}/postgres"


def redis(processes: Processes, folder: Path, port: int) -> str:
    """One that keeps nothing: what was in it is lost when it is killed."""
    call = [program("redis-server"), "--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    processes.run("broker", Program(call))
    return f"redis://127.0.0.1:{port}/0"


def rabbitmq(processes: Processes, folder: Path, port: int) -> str:
    """A node of its own, with a register of nodes of its own, which is not killed. It keeps its queues on the disk."""
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
    until_open(port + 2)
    environment = erlang | {f"RABBITMQ_{name}": value for name, value in node.items()}
    processes.run("broker", Program([program("rabbitmq-server")], environment))
    until_open(port)
    return f"amqp://guest:guest@127.0.0.1:{port}//"


STORES: Mapping[str, Callable[[Processes, Path, int], str]] = {"sqlite": sqlite, "postgresql": postgresql}
BROKERS: Mapping[str, Callable[[Processes, Path, int], str]] = {"redis": redis, "rabbitmq": rabbitmq}


def program(name: str) -> str:
    """Where it is. Debian's rabbitmq-server in the path is a wrapper that changes the user."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, FOLDERS), os.environ.get("PATH", "")]))
    if found is None:
        raise SystemExit(f"{name} is not installed")
    return found


def until_open(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


def torment(
    client: Client, processes: Processes, folder: Path, environment: dict[str, str], options: argparse.Namespace
) -> list[str]:
    """Queue and kill in turn; the tasks that the service said it has."""
    dice = random.Random(options.seed)
    pause = options.pause or (6.0 if options.broker == "rabbitmq" else 1.5)  # the time to start counts too
    wait_for(client)
    call = [sys.executable, "-m", "lipsync", "keys", "create", "kill", "--json"]
    told = subprocess.run(call, env=os.environ | environment, cwd=folder, capture_output=True, check=True)
    client.key = json.loads(told.stdout)["secret"]
    files = (
        footage(folder / "footage.mp4"),
        write_sound(tone(folder / "tone.wav"), folder / "sound.wav", options.seconds),
    )
    kind = "application/octet-stream"
    sent = [client.ask("POST", "/v1/uploads", path.read_bytes(), kind)["id"] for path in files]
    wish = {"video": {"upload": sent[0]}, "audio": {"upload": sent[1]}, "engines": ["passthrough"]}
    victims = ["worker", "worker", "api", "broker", *(["store"] if options.store == "postgresql" else [])]
    tasks: list[str] = []
    killed = Counter[str]()
    for _ in range(options.rounds):
        for _ in range(dice.randint(1, 4)):
            key = f"kill-{len(tasks)}"
            tasks.append(patiently(processes, partial(submit, options.port, client.key, wish, key))["id"])
        processes.rest(dice.uniform(0, pause))
        victim = dice.choice(victims)
        processes.kill(victim)
        killed[victim] += 1
        time.sleep(dice.uniform(0, 0.5))
        processes.start(victim)
    print(f"{options.rounds} kills: {dict(killed)}; {len(tasks)} tasks", flush=True)
    return tasks


def submit(port: int, key: str, wish: dict[str, Any], idempotency_key: str) -> Any:
    """A task; asked for again under the same key, because the answer was lost, it is the same task."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/tasks", json.dumps(wish).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def patiently(processes: Processes, ask: Callable[[], Any]) -> Any:
    """Until the API, and what it needs, is there again."""
    end, last = time.monotonic() + PATIENCE, ""
    while time.monotonic() < end:
        try:
            return ask()
        except (OSError, http.client.HTTPException) as exc:
            last = f"{type(exc).__name__}: {exc}"
            processes.rest(0.1)
    raise SystemExit(f"the API does not come back; {last}")


def tell(client: Client, processes: Processes, tasks: list[str]) -> None:
    """Wait for all to end, and say how long it took."""
    began = time.monotonic()
    waiting = list(tasks)
    while waiting and time.monotonic() - began < SETTLING:
        task = patiently(processes, lambda: client.ask("GET", f"/v1/tasks/{waiting[0]}"))
        if task["status"] in FINAL:
            waiting.pop(0)
        else:
            processes.rest(0.2)
    print(f"not ended: {len(waiting)}, {time.monotonic() - began:.0f} s after the last kill", flush=True)


def until_tidy(processes: Processes, work: Path) -> None:
    end = time.monotonic() + SWEPT
    while work.is_dir() and any(work.iterdir()) and time.monotonic() < end:
        processes.rest(1)


def look(folder: Path, database: str, asked: list[str]) -> None:
    """What the store has, what lies on the disk, and how often a task was done."""
    tasks = everything_in(database)
    print(
        f"ended: {dict(Counter(str(task.status) for task in tasks))}; tasks that nobody asked for or that are gone: "
        f"{len({task.id for task in tasks} ^ set(asked))}"
    )
    problems = Counter(task.problem.code if task.problem else "none" for task in tasks if task.status == "failed")
    print(
        f"reasons of those that failed: {dict(problems)}; leases left: {sum(t.lease_owner is not None for t in tasks)}"
    )
    print(f"attempts: {dict(sorted(Counter(task.attempts for task in tasks).items()))}")
    times = Counter(COMPLETED.findall((folder / "worker.log").read_text(errors="replace")))
    print(f"completed more than once: {sum(count > 1 for count in times.values())}")
    data = folder / "data"
    kept = {key for task in tasks for key in task.files}
    there = {str(path.relative_to(data / "results")) for path in (data / "results").rglob("*") if path.is_file()}
    print(f"files: {len(there)}; missing: {sorted(kept - there)}; orphans: {sorted(there - kept)}")
    left = {name: len(list((data / name).iterdir())) for name in ("work", "uploads") if (data / name).is_dir()}
    print(f"folders left of work in progress: {left.get('work', 0)}; uploads: {left.get('uploads', 0)} of 2")


def everything_in(database: str) -> list[Task]:
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
