"""``python -m lipsync``."""

from __future__ import annotations

import sys

from lipsync.cli import main

if __name__ == "__main__":
    sys.exit(main())
