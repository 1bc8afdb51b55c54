"""Check that strings, docstrings, comments and pages avoid words that make technical English hard to read.

    python scripts/check_prose.py

Each pattern may occur a few times, because quotes and names need some. No docstring begins with "What".
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "tests", "docs", "benchmarks", "training", "scripts", "deploy", "README.md", "CHANGELOG.md")
MAX_USES = 5
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
PATTERNS = (
    r"tell|tells|told",
    r"somebody|nobody|everybody|whoever",
    r"is no",
    r"anew",
    r"lie|lies",
)


def main() -> int:
    uses: dict[str, list[str]] = defaultdict(list)
    for path in files():
        for line, text in texts(path):
            for pattern in PATTERNS:
                uses[pattern] += [f"{path}:{line}"] * len(re.findall(rf"\b(?:{pattern})\b", text, re.IGNORECASE))
    problems = [f"{pattern}: {', '.join(places)}" for pattern, places in uses.items() if len(places) > MAX_USES]
    problems += [f'docstring begins with "What": {place}' for path in files() for place in questions(path)]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    own = Path(__file__).relative_to(ROOT)
    return [Path(name) for name in listed if Path(name) != own and (ROOT / name).suffix in {".py", ".md", ".yaml"}]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Strings and comments of Python files, lines of other files, each with its line number."""
    content = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(content.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            yield token.start[0], token.string


def questions(path: Path) -> Iterator[str]:
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, DOCUMENTED) and (ast.get_docstring(node) or "").startswith("What"):
            yield f"{path}:{getattr(node, 'lineno', 1)}"


if __name__ == "__main__":
    sys.exit(main())
