"""How long ``lipsync --help`` takes, beside a Python that does nothing.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import sys

from measure import measured


def main() -> None:
    empty, full = [], []
    for _ in range(7):
        empty.append(measured([sys.executable, "-c", "pass"]).wall)
        full.append(measured([sys.executable, "-m", "lipsync", "--help"]).wall)
    print(f"python -c pass {statistics.median(empty):.3f} s, lipsync --help {statistics.median(full):.3f} s")


if __name__ == "__main__":
    main()
