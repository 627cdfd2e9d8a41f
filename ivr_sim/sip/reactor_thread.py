"""The reactor in a daemon thread, for programs that have none of their own."""

from __future__ import annotations

import atexit
import threading
from typing import Any

from ivr_sim.errors import LocalProtocolError

__all__ = ["run_in_thread"]

_starting = threading.Lock()


def run_in_thread(reactor: Any) -> None:
    """See that the reactor runs, in a daemon thread unless somebody runs it already.

    It runs until the program ends. Raises LocalProtocolError when it does not start.
    """
    with _starting:
        if reactor.running:
            return
        running = threading.Event()
        reactor.callWhenRunning(running.set)
        thread = threading.Thread(
            target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
        )
        thread.start()
        if not running.wait(10):
            raise LocalProtocolError("the reactor does not start; was it stopped before in this process?")

        def stop() -> None:
            if reactor.running:
                reactor.callFromThread(reactor.stop)
                thread.join(5)

        atexit.register(stop)
