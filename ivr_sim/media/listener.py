"""Who hears and speaks on a stream, and what such a listener is told."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ivr_sim.journal import KeyMethod
from ivr_sim.media.g711 import Samples

__all__ = ["RefusalListener", "StreamListener"]


class StreamListener(Protocol):
    """Who hears and speaks on a stream.

    The calls come on the reactor's thread. Keys of a tick come before the tick itself, so that a prompt
    can stop in it; ``key_down`` and ``key_up`` take turns, each up with digit, method and start of its down.
    A listener that raises loses its own stream and nobody else's.
    """

    def tick(self, heard: Samples) -> Samples | None:
        """20 ms have passed, counted from the start on: int16 (160,) each way at 8 kHz; None is silence."""
        ...

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """A key certainly went down; start: seconds of the stream's clock, which is that of the audio heard.

        An onset just detected may lie up to the playout delay ahead of the clock.
        """
        ...

    def key_up(
        self,
        digit: str,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        """The key went up again; duration_ms as long as any of the ways that told of it say.

        twist_db only if it came as a tone (too).
        """
        ...


@runtime_checkable
class RefusalListener(Protocol):
    """A StreamListener that also wants to know of tones that were not taken for keys."""

    def key_refused(
        self,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        reason: str,
        level_dbm0: float,
        twist_db: float,
    ) -> None:
        """Two tones sounded like a key and missed a limit, which ``reason`` names; see ``dtmf.Refused``."""
        ...
