"""Compare the time of ``lipsync --help`` with an empty Python process and with the import of NumPy and OpenCV.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import sys

from measure import measured


def main() -> None:
    commands = {
        "python -c pass": ["-c", "pass"],
        "import numpy, cv2": ["-c", "import numpy, cv2"],
        "lipsync --help": ["-m", "lipsync", "--help"],
    }
    walls: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(25):
        for name, arguments in commands.items():
            walls[name].append(measured([sys.executable, *arguments]).wall)
    medians = {name: statistics.median(times) for name, times in walls.items()}
    print(", ".join(f"{name} {seconds:.3f} s" for name, seconds in medians.items()))
    print(f"help to imports: {medians['lipsync --help'] / medians['import numpy, cv2']:.2f}")


if __name__ == "__main__":
    main()
