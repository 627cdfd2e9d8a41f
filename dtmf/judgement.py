"""Is it a key? The rules, for many looks at once.

A clean tone is taken as soon as it is long enough. What sounds with something else waits until there is
more of it, and is held to more: speech and music make pairs that are nearly right, for a while. What tells
them from keys is the rest of their spectrum, above all the third peak, and how exactly two frequencies are
met at once. Of what is not clean all is measured in windows that are deaf to hum and dial tones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import RATE, TONES_HZ, WINDOW, Floats, amplitude
from dtmf.look import FRAME_START, Keys, Windows, third_peak, tones_of, windows, windows_nulled
from dtmf.measurement import Measured, measure
from dtmf.piece import Pieces, pieces
from dtmf.standards import Decision

__all__ = ["ACCEPT", "REFUSE", "WAIT", "Judge", "Said"]

REFUSE, ACCEPT, WAIT = 0, 1, 2

Bools = npt.NDArray[np.bool_]

_CLEAN = 0.06  # what sounds beside the pair, relative to the weaker tone's power
_HOPE = 0.40  # of the power must be in the pair
_BAND = 0.12  # of the power in the low band: then a key that is down is followed without that
_DROWNED = 0.2  # of the power in the pair, at most
_UNCLEAN_OFFSET = 0.021  # in noise, frequencies are not known so well that one could be more generous
_SLACK = 0.002 * RATE
_LATE = 0.065 * RATE
_LONG_ENOUGH = 0.040 * RATE  # unclean tones are judged by at least so much of them
_BEFORE = 160  # samples before an onset that say something about it
_HZ = TONES_HZ.astype(np.float32)


# What an unclean look is judged by: a linear discriminant, fitted to tell keys in noise, hum, dial tones,
# echo and speech (the tapes of `dtmf grid`) from speech and music (the tuning half of docs/talk-off.md).
WEIGHTS = {
    "error": -15.0,  # of the amplitudes, from those of a tone with sharp edges
    "noise": 39.8,  # what noise of this power adds to that
    "off": -3.43,  # the frequencies, in percent
    "unsteadiness": -0.634,  # of the phases, as a power of ten
    "ratio": -6.48,  # the pair's share of all power but the low band's
    "whole": 6.77,  # the pair's share of all power
    "peak": -0.916,  # the third peak relative to the weaker tone, dB
    "length": 0.015,  # of the tone, up to 60 ms
    "longer": -0.219,  # than that, ms: what is no key at once seldom becomes one
    "begun": 2.20,  # the onset was seen
}
_WEIGHTS = np.array(list(WEIGHTS.values()), np.float32)
_ENOUGH = 10.3 + 1.9  # the fit's bias, and room to spare: no false key comes nearer than 0.2


def _db(value: float) -> float:
    return float(10 ** (value / 10))


@dataclass(frozen=True)
class Said:
    """Of j looks: REFUSE, ACCEPT or WAIT; what was found and measured; deaf: by nulled windows."""

    verdict: Keys
    found: Pieces
    measured: Measured
    deaf: Bools


class Judge:
    """Applies one Decision."""

    def __init__(self, decision: Decision) -> None:
        self.hole = decision.hole_ms * RATE / 1000
        self.shortest = decision.shortest_ms * RATE / 1000
        self.offset = decision.offset
        self._weakest = amplitude(decision.weakest_dbm0) ** 2
        self._twist = _db(decision.twist_db[0]), _db(decision.twist_db[1])

    def judge(self, sound: Floats, key: Keys, after: Floats) -> Said:
        """Looks (j, SPAN) at a key each; what began before ``after`` (samples of the look) is left out."""
        seen = windows(sound, key)
        found, heard = self._pieces(seen, after)
        measured = measure(seen, found, heard)
        clean = (measured.power - measured.pair) < _CLEAN * measured.squares.min(axis=0)
        clean &= (measured.steadiness > 0.95) & (measured.error < 0.15) & (measured.number >= 2)
        clean &= found.begun | (found.length < self.shortest)
        verdict = np.where(found.silent >= self.hole, REFUSE, WAIT).astype(np.int8)
        long_enough = clean & (found.length >= self.shortest)
        within = self._within(key, measured, self.offset)
        verdict[long_enough & within] = ACCEPT
        verdict[long_enough & ~within & found.over] = REFUSE
        said = Said(verdict, found, measured, np.zeros(len(key), bool))
        # Short ones are not worth it yet; how long they are is not known where the low band drowns the rest.
        short = found.length < np.where(found.over, self.shortest, _LONG_ENOUGH) - _SLACK
        unclean = (~clean & ~(short & (measured.pair > _DROWNED * measured.power))).nonzero()[0]
        if len(unclean):
            seen = windows_nulled(sound[unclean], key[unclean])
            parts, heard = self._pieces(seen, after[unclean])
            part = measure(seen, parts, heard)
            verdict[unclean] = self._rules(sound[unclean], key[unclean], parts, part)
            found.put(unclean, parts)
            measured.put(unclean, part)
            said.deaf[unclean] = part.low_band >= _BAND
        return said

    def _pieces(self, seen: Windows, after: Floats) -> tuple[Pieces, Bools]:
        """Where the pair stood, relative to where it is fullest; and which windows count for its shape."""
        counts = after[:, None] <= FRAME_START
        both = seen.squares[0] * seen.squares[1]
        both *= counts
        look, fullest = np.arange(len(after)), both.argmax(axis=1)
        heights = seen.squares / (seen.squares[:, look, fullest] + np.float32(1e-24))[:, :, None]
        height = np.minimum(heights[0], heights[1])
        found = pieces(np.sqrt(height, out=height), self.hole, after)
        counts &= (found.start - (WINDOW + _BEFORE))[:, None] < FRAME_START
        return found, counts

    def _within(self, key: Keys, measured: Measured, offset: float) -> Bools:
        """Frequencies, levels and twist are within the limits."""
        low, high = measured.squares
        within: Bools = np.abs(measured.off[0]) < np.float32(offset) * _HZ[key >> 2]
        within &= np.abs(measured.off[1]) < np.float32(offset) * _HZ[4 + (key & 3)]
        within &= np.minimum(low, high) > self._weakest
        within &= (high > low * self._twist[0]) & (high < low * self._twist[1])
        return within

    def _rules(self, sound: Floats, key: Keys, found: Pieces, measured: Measured) -> Keys:
        """The verdicts on what does not sound alone."""
        ratio = np.minimum(measured.pair / np.maximum(measured.power, np.float32(1e-12)), np.float32(1))
        # What goes on is a new candidate with every block: only what is nearly one is waited for.
        late = (found.silent >= self.hole) | ((found.length > _LATE) & (ratio < 0.8))
        verdict = np.where(late, REFUSE, WAIT).astype(np.int8)
        may = self._within(key, measured, min(self.offset, _UNCLEAN_OFFSET))
        may &= (ratio > _HOPE) & (measured.steadiness > 0.94) & (measured.number >= 3)
        may &= found.length >= np.where(found.over, self.shortest, _LONG_ENOUGH)
        at = may.nonzero()[0]
        if len(at):
            good = _is_key(sound[at], key[at], found.at(at), measured.at(at), ratio[at])
            verdict[at[good]] = ACCEPT
        return verdict


def evidence(sound: Floats, key: Keys, found: Pieces, measured: Measured, ratio: Floats) -> Floats:
    """What speaks for a key and what against it, (j, len(WEIGHTS)); ratio: the pair's share of the power."""
    hz = _HZ[tones_of(key)]
    weaker = measured.squares.min(axis=0)
    peak = third_peak(sound, (found.piece_from + found.piece_to) / np.float32(2), hz + measured.off) / weaker
    noise = np.maximum(measured.power - measured.pair, np.float32(0))
    length = found.length * np.float32(1000 / RATE)
    columns = (
        measured.error,
        np.sqrt(noise * np.float32(2 / WINDOW) / weaker),
        100 * (np.abs(measured.off) / hz).max(axis=0),
        np.log10(np.maximum(1 - measured.steadiness, np.float32(1e-3))),
        ratio,
        ratio * (1 - measured.low_band),
        np.clip(10 * np.log10(np.maximum(peak, np.float32(1e-9))), -20, 5),
        np.minimum(length, 60),
        np.maximum(length - 60, 0),
        found.begun,
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _is_key(sound: Floats, key: Keys, found: Pieces, measured: Measured, ratio: Floats) -> Bools:
    """Whether so much else beside a key's pair is still a key."""
    said = evidence(sound, key, found, measured, ratio)
    column = dict(zip(WEIGHTS, said.T, strict=True))
    # A tone that begins and stays as only a key does may have more beside it: its own distortion, for one.
    exact: Bools = (column["error"] < 0.09) & (column["off"] < 0.5) & (column["unsteadiness"] < -1.85)
    exact &= column["whole"] > 0.5
    # So may one with holes in it, if it is on its frequencies and little else sounds.
    broken = (column["error"] < 0.16) & (column["off"] < 0.2) & (column["unsteadiness"] < -2.3)
    exact |= broken & (column["whole"] > 0.8)
    exact &= found.begun & (column["peak"] < -5)
    return (said @ _WEIGHTS > _ENOUGH) | exact
