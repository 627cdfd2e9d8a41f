"""Comfort noise: what a telephone describes instead of sending silence (RFC 3389)."""

from __future__ import annotations

import numpy as np

from ivr_sim.media.g711 import Samples
from ivr_sim.media.rtp import BadPacket

__all__ = ["PAYLOAD_TYPE", "ComfortNoise", "noise_level"]

PAYLOAD_TYPE = 13  # the static one (RFC 3551 table 4)
FULL_SCALE = 32767  # 0 dBov: the loudest a square wave can be

# The same noise in every run, so that a call sounds the same each time; ten seconds until it comes again.
_NOISE = np.random.default_rng(3389).standard_normal(80_000).astype(np.float32)


def noise_level(payload: bytes) -> int:
    """The level of a comfort noise payload in dBov, 0 to -127. Raises BadPacket for an empty one.

    What it tells of the spectrum is left out (section 3: receivers may).
    """
    if not payload:
        raise BadPacket("comfort noise of 0 bytes, not of a level at least")
    return -(payload[0] & 0x7F)


class ComfortNoise:
    """White noise of one stream, at one level in dBov until it is told another."""

    def __init__(self, level_dbov: int) -> None:
        self.level_dbov = level_dbov
        self._at = 0

    def next(self, count: int) -> Samples:
        """The next samples, int16 (count,)."""
        noise = _NOISE.take(np.arange(self._at, self._at + count), mode="wrap")
        self._at = (self._at + count) % len(_NOISE)
        loud = noise * (FULL_SCALE * 10 ** (self.level_dbov / 20))
        return np.clip(np.round(loud), -FULL_SCALE, FULL_SCALE).astype(np.int16)
