"""Is it a key? The rules, for many looks at once.

A clean tone is taken as soon as it is long enough. What sounds with something else waits until there is
more of it, and is held to more: speech and music make pairs that are nearly right, for a while. What tells
them from keys is the rest of their spectrum, above all the third peak, and how exactly two frequencies are
met at once. Where hum or a dial tone is in the way, the same is asked of windows that are deaf to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, LOW_BAND, NULLED, RATE, TONES_HZ, TURNS, WINDOW, Floats, amplitude
from dtmf.look import (
    FRAME_START,
    Complex,
    Keys,
    Windows,
    squared,
    third_peak,
    tones_of,
    window_loss,
    windows,
    windows_nulled,
)
from dtmf.measurement import LAG, Measured, measure, off_hz
from dtmf.piece import Pieces, pieces
from dtmf.standards import Decision

__all__ = ["ACCEPT", "REFUSE", "WAIT", "Judge", "Said"]

REFUSE, ACCEPT, WAIT = 0, 1, 2

Bools = npt.NDArray[np.bool_]

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
_MIDST = np.array([8, 12, 14])
_AROUND = _MIDST + np.array([[-LAG], [0], [LAG]])
_QUARTER_OF = _AROUND.T[:, :, None] + np.arange(WINDOW // HOP)  # of the look, in each of these
_PURE = np.float32(0.9)  # of the power: there is no room for a low band, nor for a third peak
_MORE = 1.6  # power ratio, by which the twist of a single window may be more
_TOO_LOUD = np.float32(0.56)  # a third peak, relative to the weaker tone's power: -2.5 dB
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
        self._offset = decision.offset
        self._weakest = amplitude(decision.weakest_dbm0) ** 2
        self._twist = _db(decision.twist_db[0]), _db(decision.twist_db[1])

    def judge(self, sound: Floats, key: Keys, after: Floats) -> tuple[npt.NDArray[np.intp], Said | None]:
        """Looks (j, SPAN) at a key each: those that may be one, and what is said of them.

        What began before ``after`` (samples of the look) is left out.
        """
        seen = windows(sound, key)
        some, band = self._hopeful(sound, key, seen)
        if not len(some):
            return some, None
        if len(some) < len(key):
            sound, key, after, seen, band = sound[some], key[some], after[some], seen.at(some), band[some]
        return some, self._judge(sound, key, after, seen, band)

    def _hopeful(self, sound: Floats, key: Keys, seen: Windows) -> tuple[npt.NDArray[np.intp], Floats]:
        """The looks that may be one by a single window of each; and the low bands' shares of the power.

        It is the window of the newest three blocks that has most of the pair. Of speech and music few pass.
        """
        best = _purest(sound, key, seen)
        # What is but a part of what sounds cannot be one, unless hum or a dial tone is the rest.
        band = best.band
        need = np.where(band < _BAND, _HOPE, np.where(band < 0.95, _OF_THE_REST, _UNDER_IT))
        low, high = best.squares
        hz = _HZ[tones_of(key)]
        hopeful = (best.share > need) & (np.abs(best.off) < np.float32(1.15 * self._offset) * hz).all(axis=0)
        hopeful &= (high > low * (self._twist[0] / _MORE)) & (high < low * (self._twist[1] * _MORE))
        doubt = np.flatnonzero(hopeful & (best.share < _PURE))
        if len(doubt):
            peak = third_peak(sound[doubt], best.middle[doubt], hz[:, doubt] + best.off[:, doubt])
            hopeful[doubt] = peak < _TOO_LOUD * np.minimum(low, high)[doubt]
        return np.flatnonzero(hopeful), band

    def _judge(self, sound: Floats, key: Keys, after: Floats, seen: Windows, band: Floats) -> Said:
        """Those that may be one; band: the low band's share of the power."""
        found, heard = self._pieces(seen, after)
        measured = measure(seen, found, heard)
        clean = (measured.power - measured.pair) < _CLEAN * measured.squares.min(axis=0)
        clean &= (measured.steadiness > 0.95) & (measured.error < 0.15) & (measured.number >= 2)
        clean &= found.begun | (found.length < self.shortest)
        verdict = np.where(found.silent >= self.hole, REFUSE, WAIT).astype(np.int8)
        long_enough = clean & (found.length >= self.shortest)
        within = self._within(key, measured, self._offset)
        verdict[long_enough & within] = ACCEPT
        verdict[long_enough & ~within & found.over] = REFUSE
        said = Said(verdict, found, measured, np.zeros(len(key), bool))
        if clean.all():
            return said
        easy = np.flatnonzero(~clean & (band < _BAND))
        if len(easy):
            part = measured.at(easy)
            part.power[:] *= 1 - band[easy]
            part.low_band[:] = band[easy]
            verdict[easy] = self._rules(sound[easy], key[easy], found.at(easy), part)
        # Short ones are not worth it yet: only where the low band drowns the rest is that not known.
        short = found.length < np.where(found.over, self.shortest, _LONG_ENOUGH) - _SLACK
        hard = np.flatnonzero(~clean & (band >= _BAND) & ~(short & (band < 0.8)))
        if len(hard):
            seen = windows_nulled(sound[hard], key[hard])
            parts, heard = self._pieces(seen, after[hard])
            part = measure(seen, parts, heard)
            verdict[hard] = self._rules(sound[hard], key[hard], parts, part)
            found.put(hard, parts)
            measured.put(hard, part)
            said.deaf[hard] = True
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
        may = self._within(key, measured, min(self._offset, _UNCLEAN_OFFSET))
        may &= (ratio > _HOPE) & (measured.steadiness > 0.94) & (measured.number >= 3)
        may &= found.length >= np.where(found.over, self.shortest, _LONG_ENOUGH)
        at = np.flatnonzero(may)
        if len(at):
            good = _is_key(sound[at], key[at], found.at(at), measured.at(at), ratio[at])
            verdict[at[good]] = ACCEPT
        return verdict


class _Purest(NamedTuple):
    """A window of each look: (J,), (2, J) what is told of both tones.

    share: of the power, that the pair has; where the low band has more than _BAND, of the rest. band: the
    low band's; at most _BAND, and then that, where it is of no account. squares: of the tones' amplitudes;
    off: Hz; middle: of the window, in samples.
    """

    share: Floats
    band: Floats
    squares: Floats
    off: Floats
    middle: Floats


def _purest(sound: Floats, key: Keys, seen: Windows) -> _Purest:
    """Of the newest three blocks, the one with most of the pair."""
    squares, off = _put_right(seen.tones[:, :, _AROUND], seen.squares[:, :, _AROUND])
    powers = np.maximum(seen.power[:, _MIDST], np.float32(1e-9))
    shares = (squares[0] + squares[1]) / (2 * powers)
    best, look = shares.argmax(axis=1), np.arange(len(sound))
    share, power = shares[look, best], powers[look, best]
    squares, off = squares[:, look, best], off[:, look, best]
    band = np.full(len(share), _BAND, np.float32)
    poor = np.flatnonzero(share < _PURE)
    if len(poor):
        quarters = _QUARTER_OF[best[poor]]  # (n, 3, 4)
        every = sound.reshape(len(sound), -1, HOP)[poor[:, None, None], quarters]
        every = every.reshape(len(poor), 3, WINDOW)
        parts = every[:, 1] @ LOW_BAND
        band[poor] = np.einsum("jl,jl->j", parts, parts) / (WINDOW * power[poor])
        those = np.flatnonzero(band[poor] >= _BAND)
        if len(those):
            deaf = poor[those]
            tone = tones_of(key[deaf])
            parts = every[those] @ NULLED  # (n, 3, 16)
            n = np.arange(len(those))
            phasors = parts[n, :, tone] - 1j * parts[n, :, tone + 8]  # (2, n, 3)
            phasors *= TURNS[tone[:, :, None], _AROUND[:, best[deaf]].T]
            right, turned = _put_right(phasors[..., None], squared(phasors)[..., None])
            squares[:, deaf], off[:, deaf] = right[:, :, 0], turned[:, :, 0]
            rest = 2 * power[deaf] * np.maximum(1 - band[deaf], np.float32(1e-6))
            share[deaf] = squares[:, deaf].sum(axis=0) / rest
    return _Purest(share, band, squares, off, FRAME_START[_MIDST[best]] + np.float32(WINDOW / 2))


def _put_right(tones: Complex, squares: Floats) -> tuple[Floats, Floats]:
    """The squared amplitudes in some windows, put right for how far the tones are off; and that, in Hz.

    tones, squares: (2, J, 3, n), before, in and after n windows: the phase in the louder neighbour tells.
    """
    before, now, after = tones[:, :, 0], tones[:, :, 1], tones[:, :, 2]
    turned = np.where(squares[:, :, 0] > squares[:, :, 2], now * before.conj(), after * now.conj())
    off = off_hz(turned)
    return squares[:, :, 1] / window_loss(np.minimum(np.abs(off), np.float32(30))), off


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
