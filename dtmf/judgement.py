"""Is it a key? The rules, for many looks at once.

A clean tone is taken as soon as it is long enough. What sounds with something else waits until there is
more of it, and is held to more: speech and music make pairs that are nearly right, for a while. What tells
them from keys is the rest of their spectrum, above all the third peak, and how exactly two frequencies are
met at once. Where hum or a dial tone is in the way, the same is asked of windows that are deaf to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, LOW_BAND, NULLED, RATE, TONES_HZ, TURNS, WINDOW, Floats, amplitude
from dtmf.look import (
    FRAME_START,
    Measured,
    Pieces,
    Windows,
    chosen,
    measure,
    pieces,
    put,
    third_peak,
    window_loss,
    windows,
    windows_nulled,
)
from dtmf.standards import Decision

__all__ = ["ACCEPT", "REFUSE", "WAIT", "Judge", "Said"]

REFUSE, ACCEPT, WAIT = 0, 1, 2

Keys = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]
Complex = npt.NDArray[np.complex64]

_LAG = 2  # windows
_CLEAN = 0.06  # what sounds beside the pair, relative to the weaker tone's power
_HOPE = 0.40  # of the power must be in the pair, somewhere
_OF_THE_REST = 0.6  # of what is no hum, where there is more of that than
_UNDER_IT = 0.3  # the same, where that drowns all: what is left of it counts as well
_BAND = 0.12  # of it in the low band: then look again, deaf to that
_UNCLEAN_OFFSET = 0.021  # in noise, frequencies are not known so well that one could be more generous
_SLACK = 0.002 * RATE
_LATE = 0.065 * RATE
_LONG_ENOUGH = 0.040 * RATE  # unclean tones are judged by at least so much of them
_BEFORE = 160  # samples before an onset that say something about it
# The windows that are the newest three blocks, and those 10 ms before and after them (there is none after).
_AROUND = np.array([[6, 10, 12], [8, 12, 14], [10, 14, 16]])
_HZ_LOW, _HZ_HIGH = TONES_HZ[:4].astype(np.float32), TONES_HZ[4:].astype(np.float32)


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
        self._shortest = decision.shortest_ms * RATE / 1000
        self._offset = decision.offset
        self._weakest = amplitude(decision.weakest_dbm0) ** 2
        self._twist = _db(decision.twist_db[0]), _db(decision.twist_db[1])

    def judge(self, sound: Floats, key: Keys, after: Floats) -> tuple[npt.NDArray[np.intp], Said | None]:
        """Looks (j, SPAN) at a key each: those that may be one, and what is said of them.

        What began before ``after`` (samples of the look) is left out.
        """
        seen = windows(sound, key)
        pair, band = _shares(sound, key, seen)
        # What is but a part of what sounds cannot be one, unless hum or a dial tone is the rest.
        need = np.where(band < _BAND, _HOPE, np.where(band < 0.95, _OF_THE_REST, _UNDER_IT))
        some = np.flatnonzero(pair > need)
        if not len(some):
            return some, None
        if len(some) < len(key):
            seen = Windows(seen.low[some], seen.high[some], seen.power[some])
        return some, self._judge(sound[some], key[some], after[some], seen, band[some])

    def _judge(self, sound: Floats, key: Keys, after: Floats, seen: Windows, band: Floats) -> Said:
        """Those that may be one; band: the low band's share of the power."""
        found, heard = self._pieces(seen, after)
        measured = measure(seen, found, heard)
        pair = (measured.low + measured.high) / 2
        weaker = np.minimum(measured.low, measured.high)
        clean = (measured.power - pair) < _CLEAN * weaker
        clean &= (measured.steadiness > 0.95) & (measured.error < 0.15) & (measured.count >= 2)
        clean &= found.begun | (found.length < self._shortest)
        long_enough = found.length >= self._shortest
        verdict = np.where(found.silent >= self.hole, REFUSE, WAIT).astype(np.int8)
        within = self._within(key, measured, self._offset)
        verdict[clean & long_enough & within] = ACCEPT
        verdict[clean & long_enough & ~within & found.over] = REFUSE
        said = Said(verdict, found, measured, np.zeros(len(key), bool))
        easy = np.flatnonzero(~clean & (band < _BAND))
        if len(easy):
            part = chosen(measured, easy)
            part.power[:] *= 1 - band[easy]
            part.low_band[:] = band[easy]
            verdict[easy] = self._rules(sound[easy], key[easy], chosen(found, easy), part)
        # Short ones are not worth it yet: only where the low band drowns the rest is that not known.
        short = found.length < np.where(found.over, self._shortest, _LONG_ENOUGH) - _SLACK
        hard = np.flatnonzero(~clean & (band >= _BAND) & ~(short & (band < 0.8)))
        if len(hard):
            seen = windows_nulled(sound[hard], key[hard])
            parts, heard = self._pieces(seen, after[hard])
            part = measure(seen, parts, heard)
            verdict[hard] = self._rules(sound[hard], key[hard], parts, part)
            put(found, hard, parts)
            put(measured, hard, part)
            said.deaf[hard] = True
        return said

    def _pieces(self, seen: Windows, after: Floats) -> tuple[Pieces, Bools]:
        """Where the pair stood, relative to where it is fullest; and which windows count for its shape."""
        low, high = np.abs(seen.low), np.abs(seen.high)
        gone = after[:, None] > FRAME_START
        both = low * high
        both[gone] = 0
        look = np.arange(len(low))
        fullest = both.argmax(axis=1)
        low /= (low[look, fullest] + np.float32(1e-12))[:, None]
        high /= (high[look, fullest] + np.float32(1e-12))[:, None]
        found = pieces(np.minimum(low, high), self.hole, after)
        heard = ~gone & ((found.start - (WINDOW + _BEFORE))[:, None] < FRAME_START)
        return found, heard

    def _within(self, key: Keys, measured: Measured, offset: float) -> Bools:
        """Frequencies, levels and twist are within the limits."""
        low, high = measured.low, measured.high
        within: Bools = np.abs(measured.low_off) < offset * _HZ_LOW[key >> 2]
        within &= np.abs(measured.high_off) < offset * _HZ_HIGH[key & 3]
        within &= np.minimum(low, high) > self._weakest
        within &= (high > low * self._twist[0]) & (high < low * self._twist[1])
        return within

    def _rules(self, sound: Floats, key: Keys, found: Pieces, measured: Measured) -> Keys:
        """The verdicts on what does not sound alone."""
        pair = (measured.low + measured.high) / 2
        ratio = np.minimum(pair / np.maximum(measured.power, np.float32(1e-12)), 1)
        # What goes on is a new candidate with every block: only what is nearly one is waited for.
        late = (found.silent >= self.hole) | ((found.length > _LATE) & (ratio < 0.8))
        verdict = np.where(late, REFUSE, WAIT).astype(np.int8)
        may = self._within(key, measured, min(self._offset, _UNCLEAN_OFFSET))
        may &= (ratio > _HOPE) & (measured.steadiness > 0.94) & (measured.count >= 3)
        may &= found.length >= np.where(found.over, self._shortest, _LONG_ENOUGH)
        at = np.flatnonzero(may)
        if len(at):
            good = _is_key(sound[at], key[at], chosen(found, at), chosen(measured, at), ratio[at])
            verdict[at[good]] = ACCEPT
        return verdict


def _shares(sound: Floats, key: Keys, seen: Windows) -> tuple[Floats, Floats]:
    """Of the newest three blocks, the one with most of the pair: its share of the power, and the low band's.

    Where the low band has more than _BAND, the pair's share is of the rest.
    """
    pair = _power(*(seen.low[:, at] for at in _AROUND)) + _power(*(seen.high[:, at] for at in _AROUND))
    power = np.maximum(seen.power[:, _AROUND[1]], np.float32(1e-9))
    share = pair / (2 * power)
    best = share.argmax(axis=1)
    look = np.arange(len(sound))
    share, power = share[look, best], power[look, best]
    every = np.lib.stride_tricks.sliding_window_view(sound, WINDOW, axis=1)[:, ::HOP]
    at = _AROUND[:, best]
    band = np.square(every[look, at[1]] @ LOW_BAND).sum(axis=1) / (WINDOW * power)
    deaf = np.flatnonzero(band >= _BAND)
    if len(deaf):
        parts = every[deaf, at[:, deaf]] @ NULLED  # (3, ..., 16)
        those = np.arange(len(deaf))
        rest = 2 * power[deaf] * np.maximum(1 - band[deaf], np.float32(1e-6))
        pair = np.zeros(len(deaf), np.float32)
        for tone in (key[deaf] >> 2, 4 + (key[deaf] & 3)):
            phasors = parts[:, those, tone] - 1j * parts[:, those, tone + 8]
            turns = TURNS[tone][those, at[:, deaf]]
            pair += _power(*(phasors * turns))
        share[deaf] = pair / rest
    return share, band


def _power(before: Complex, now: Complex, after: Complex) -> Floats:
    """Squared amplitude, put right for how far the tone is off by its phase in the louder neighbour."""
    early = np.abs(before) > np.abs(after)
    turned = np.where(early, now * before.conj(), after * now.conj())
    off = np.angle(turned) * np.float32(RATE / (2 * np.pi * _LAG * HOP))
    power: Floats = np.square(np.abs(now))
    power /= window_loss(np.clip(off, -30, 30))
    return power


def evidence(sound: Floats, key: Keys, found: Pieces, measured: Measured, ratio: Floats) -> Floats:
    """What speaks for a key and what against it, (j, len(WEIGHTS)); ratio: the pair's share of the power."""
    low_hz, high_hz = _HZ_LOW[key >> 2], _HZ_HIGH[key & 3]
    weaker = np.minimum(measured.low, measured.high)
    peak = third_peak(sound, found, low_hz + measured.low_off, high_hz + measured.high_off) / weaker
    off = np.maximum(np.abs(measured.low_off) / low_hz, np.abs(measured.high_off) / high_hz)
    noise = np.maximum(measured.power - (measured.low + measured.high) / 2, 0)
    length = found.length * np.float32(1000 / RATE)
    columns = (
        measured.error,
        np.sqrt(noise * np.float32(2 / WINDOW) / weaker),
        100 * off,
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
