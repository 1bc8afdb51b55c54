"""Every shell and Python sample of the README and the docs runs, page by page, in one shell.

Three things are replaced: ``pip`` checks that the extras it is asked for exist, ``python3 -m venv`` makes an
environment whose activation changes nothing, and the scripts of the checkout are only checked to be there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lipsync.demo import demo_media

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md"))
    if not path.is_relative_to(ROOT / "docs/reference") and not path.is_relative_to(ROOT / "docs/_build")
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 240
SKIP = 77  # exit code of the stand-in for pip if a sample needs a package that is missing
END = "kill $(jobs -p) 2>/dev/null || true; wait\n"
PREAMBLE = """
set -euo pipefail
pip() { python "$STAND_INS/pip.py" "$@"; }
python3() { if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; : > "$3/bin/activate"; else command python3 "$@"; fi; }
"""


def samples(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page that are run, each with its language."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, block) for language, block in blocks if language in ("sh", "python")]


WITH_SAMPLES = [page for page in PAGES if samples(page)]


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory,
    speaker: Path,
    voice: Path,
    write_checkpoint: Callable[..., Path],
    wav2lip_weights: Mapping[str, Any],
) -> Path:
    """The files that the samples name."""
    folder = tmp_path_factory.mktemp("samples")
    with demo_media() as media:
        shutil.copy(media.photo, folder / "photo.jpg")
        shutil.copy(media.clip, folder / "talk.mp4")
    shutil.copy(speaker, folder / "speaker.mp4")
    with wave.open(str(voice), "rb") as source, wave.open(str(folder / "voice.wav"), "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(source.readframes(source.getframerate() // 2))
    write_checkpoint(folder / "wav2lip_gan.pth", wav2lip_weights)
    stand_ins = folder / "stand-ins"
    stand_ins.mkdir()
    shutil.copy(Path(__file__).parent / "pip.py", stand_ins)
    shutil.copy(ROOT / "pyproject.toml", stand_ins)
    (folder / "scripts").mkdir()
    for script in (ROOT / "scripts").iterdir():
        if os.access(script, os.X_OK):
            (folder / "scripts" / script.name).symlink_to("/bin/true")
    return folder


@pytest.fixture
def folder(inputs: Path, tmp_path: Path) -> Path:
    """An empty folder with links to the inputs."""
    for file in inputs.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


def environment(folder: Path, port: int) -> Mapping[str, str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIPSYNC_", "XDG_"))}
    own = {"HOME": str(folder), "STAND_INS": str(folder / "stand-ins"), "LIPSYNC_PORT": str(port)}
    return kept | own | {"PATH": programs}


def script_of(page: Path, port: int) -> str:
    parts = [PREAMBLE]
    for language, block in samples(page):
        parts.append(f"python - <<'END_OF_SAMPLE'\n{block}END_OF_SAMPLE\n" if language == "python" else block)
    script = "".join(parts).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    return script.replace("lipsync smoke-test", f"lipsync smoke-test --url http://127.0.0.1:{port}")


@pytest.mark.parametrize("page", WITH_SAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_samples_of_a_page_run_in_order(page: Path, folder: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    script = script_of(page, port)
    if "curl" in script and shutil.which("curl") is None and "LIPSYNC_REQUIRE_SERVICES" not in os.environ:
        pytest.skip("curl is not installed")
    with subprocess.Popen(
        ["bash"],
        cwd=folder,
        env=environment(folder, port),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed, _ = shell.communicate(script + END, SECONDS)
        finally:
            stop(shell.pid)
    if shell.returncode == SKIP and "LIPSYNC_REQUIRE_SERVICES" not in os.environ:
        pytest.skip(printed.splitlines()[-1])
    assert shell.returncode == 0, printed


def stop(group: int) -> None:
    """End what a page left running."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_console_blocks_are_for_what_cannot_run_here() -> None:
    """Only commands that need a container engine or downloads of weights are shown without being run."""
    unrun = {
        line.removeprefix("$ ").split()[0]
        for page in PAGES
        for language, block in BLOCK.findall(page.read_text(encoding="utf-8"))
        if language == "console"
        for line in block.splitlines()
    }
    assert unrun <= {"docker", "cp", "git", "lipsync", "LIPSYNC_API_KEY=lsk_..."}


def test_extras_named_in_the_docs_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r'"\.\[([a-z0-9,]+)\]"', "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    assert {extra for group in named for extra in group.split(",")} <= set(extras)
