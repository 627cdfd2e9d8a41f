"""Faults that a call can be placed under, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["FAULTS", "LATE_SECONDS", "late"]

# What `demo --fault` knows, and what each does.
FAULTS = {
    "authorizer_down": "the merchant's service does not listen",
    "authorizer_late": "the merchant's service answers after 5.1 seconds",
    "card_declined": "the payer's card is declined",
}
LATE_SECONDS = 5.1
Wsgi = Callable[..., Iterable[bytes]]


def late(seconds: float) -> Callable[[Wsgi], Wsgi]:
    """Wrap a WSGI application so that it answers late, in its own thread."""

    def around(app: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            threading.Event().wait(seconds)
            return app(environ, start_response)

        return answer

    return around
