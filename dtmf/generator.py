"""Key presses as sound."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.goertzel import amplitude
from dtmf.keypad import key_tones
from dtmf.resample import checked_rate

__all__ = ["generate"]

_LONGEST_S = 24 * 3600


def generate(
    digits: str,
    *,
    rate: int = 8000,
    tone_ms: float = 100,
    gap_ms: float = 100,
    level_dbm0: float = -10.0,
    twist_db: float = 0.0,
    lead_ms: float = 0,
    tail_ms: float = 0,
) -> npt.NDArray[np.float32]:
    """The sound of pressed keys: float32 (n,) in [-1, 1].

    digits: of 0-9 * # A-D; rate in Hz. Each tone lasts ``tone_ms``; between two there is ``gap_ms`` of
    silence, before the first ``lead_ms``, after the last ``tail_ms``. level_dbm0: the mean power of the
    two tones, each alone (a sine of full scale has +3.14 dBm0, ITU-T G.711); twist_db: the high tone's
    level minus the low one's. Tones begin at phase 0 and switch without ramps, as a keypad's do; what
    exceeds full scale is clipped, as on a line. Raises DtmfError for anything that makes no sense.
    """
    rate = checked_rate(rate)
    for name, ms in {"tone_ms": tone_ms, "gap_ms": gap_ms, "lead_ms": lead_ms, "tail_ms": tail_ms}.items():
        if not (math.isfinite(ms) and ms >= 0):
            raise DtmfError(f"{name} of {ms}; give milliseconds, 0 or more")
    if not (math.isfinite(level_dbm0) and math.isfinite(twist_db)) or level_dbm0 > 20 or abs(twist_db) > 100:
        raise DtmfError(f"a level of {level_dbm0} dBm0 with a twist of {twist_db} dB cannot be made")
    if not tone_ms:
        raise DtmfError("tones of 0 ms cannot be heard")
    tones = [key_tones(digit) for digit in digits]
    length_ms = lead_ms + tail_ms + len(tones) * tone_ms + max(len(tones) - 1, 0) * gap_ms
    if length_ms > _LONGEST_S * 1000:
        raise DtmfError(f"{length_ms / 1000:.0f} s of sound; the most is {_LONGEST_S} s")

    def at(ms: float) -> int:
        return round(ms * rate / 1000)

    power = amplitude(level_dbm0) ** 2
    ratio = 10 ** (twist_db / 10)
    low, high = math.sqrt(2 * power / (1 + ratio)), math.sqrt(2 * power * ratio / (1 + ratio))
    sound = np.zeros(at(length_ms), np.float32)
    for i, (low_hz, high_hz) in enumerate(tones):
        # Each start from the beginning anew: roundings do not add up.
        start_ms = lead_ms + i * (tone_ms + gap_ms)
        start, end = at(start_ms), at(start_ms + tone_ms)
        t = 2 * np.pi * np.arange(end - start) / rate
        sound[start:end] = low * np.sin(low_hz * t) + high * np.sin(high_hz * t)
    return np.clip(sound, -1, 1)
