"""How much memory this process has needed at most."""

from __future__ import annotations

import sys


def peak_memory() -> int:
    """The peak resident set in bytes since the process began; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
