"""What is heard where packets are lost: the last of the voice, repeated, and soon silent.

As in G.711 appendix I, but with nothing held back for it: the last period of the voice goes on, from where
it was, fades away within 60 ms, and real audio is blended in when it is there again. Key tones are never
repeated: a recording is masked where keys were pressed, and one that sounds on would tell which.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dtmf.keypad import HIGH_HZ, LOW_HZ
from ivr_sim.media.g711 import SAMPLE_RATE, Samples

__all__ = ["HISTORY", "Concealment"]

HISTORY = 320  # samples of the past that are looked at: two of the longest periods and what is compared
SHORTEST, LONGEST = 40, 120  # samples of a period: voices of 66 to 200 Hz, higher ones by several periods
COMPARED = 160
HELD = 80  # samples of full loudness; then it fades
FADED = 480
JOIN = 16  # samples over which a step at the beginning is smoothed
BLEND = 40  # samples over which real audio takes over
ALARMING = 0.08  # of the power in the strongest low tone, and in the strongest high one: may be a key

_Floats = npt.NDArray[np.float64]


def _probes(samples: int, tones: tuple[float, ...]) -> npt.NDArray[np.complex128]:
    """Rows that measure the power of tones in as many samples, 1 for a pure one of power 1."""
    t = np.arange(samples) / SAMPLE_RATE
    probes: npt.NDArray[np.complex128] = np.exp(-2j * np.pi * np.outer(tones, t)) * np.sqrt(2) / samples
    return probes


# A short look, since a key may have only begun, and a longer one that tells neighbours apart.
_LOOKS = [(n, _probes(n, LOW_HZ), _probes(n, HIGH_HZ)) for n in (80, COMPARED)]


class Concealment:
    """Makes up what is missing in one stream."""

    def __init__(self) -> None:
        self._period: _Floats | None = None  # of what is repeated
        self._step = 0.0
        self._fading = HELD, FADED
        self._made = 0  # samples since the last real ones

    @property
    def active(self) -> bool:
        """Whether the last samples were made up."""
        return self._period is not None

    def lose(self, count: int, history: Samples) -> Samples:
        """The next ``count`` samples of those that are missing, int16.

        history: the ``HISTORY`` samples that were heard last, int16.
        """
        if self._period is None:
            if not history.any():
                return np.zeros(count, np.int16)  # and nothing to blend with
            past = history.astype(np.float64)
            self._period = _period(past)
            self._step = float(past[-1] - self._period[-1])
            self._made = 0
            self._fading = (0, JOIN) if _like_a_key(past) else (HELD, FADED)
        made = self._next(count)
        self._made += count
        return np.clip(np.round(made), -32768, 32767).astype(np.int16)

    def resume(self, samples: Samples) -> Samples:
        """Real audio is there again, int16: its beginning takes over from what was made up."""
        count = min(BLEND, len(samples))
        share = np.arange(1, count + 1) / (count + 1)
        blended = samples.copy()
        blended[:count] = np.round(share * samples[:count] + (1 - share) * self._next(count))
        self._period = None
        return blended

    def _next(self, count: int) -> _Floats:
        """What goes on from here, with what was made up before taken into account."""
        assert self._period is not None
        at = self._made + np.arange(count)
        held, faded = self._fading
        loudness = np.clip((faded - at) / (faded - held), 0, 1)
        step = self._step * np.clip(1 - (at + 1) / JOIN, 0, 1)
        return loudness * (self._period[at % len(self._period)] + step)


def _period(past: _Floats) -> _Floats:
    """The last period of a voice: the stretch after which the past is most like itself."""
    recent = past[-COMPARED:]
    # Row n: what was COMPARED samples long, and SHORTEST + n samples ago.
    lags = np.lib.stride_tricks.sliding_window_view(past[-COMPARED - LONGEST : -SHORTEST], COMPARED)[::-1]
    alike = lags @ recent / np.sqrt((lags**2).sum(axis=1) + 1)
    return past[-(SHORTEST + int(alike.argmax())) :]


def _like_a_key(past: _Floats) -> bool:
    for samples, low, high in _LOOKS:
        sound = past[-samples:]
        power = float((sound**2).mean())
        if power < 1:
            continue
        tones = [float((np.abs(rows @ sound) ** 2).max()) for rows in (low, high)]
        if min(tones) > ALARMING * power and sum(tones) > 0.4 * power:
            return True
    return False
