"""`python -m omsd.workerd <socket>`: a worker process. Started by the control process only."""

from __future__ import annotations

import gc
import signal
import sys

# Collections of each generation; some MB of garbage in cycles at most.
_GC_THRESHOLDS = (20_000, 20, 20)


def settle_collector() -> None:
    """What was imported stays for ever, and an object moved leaves no cycles: looking through everything after each 700 is in vain."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def main() -> None:
    """Load all that moves bytes, and work."""
    # Whoever stops the daemon stops the control process, which drains the workers first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Nothing of what is being loaded is garbage: looking for some takes a tenth of the start.
    gc.disable()
    from omsd.workerparts import run

    settle_collector()
    gc.enable()
    run(int(sys.argv[1]))


if __name__ == "__main__":
    main()
