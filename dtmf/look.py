"""The second look: five blocks around what passed the screen, in windows of 20 ms every 5 ms.

    samples   ......................############################......................
    amplitude                  .  /---------------------------\\  .
                                 ^ start                       ^ end

A window half filled by a tone shows half of its amplitude: so an edge lies where the weaker tone's crosses
half of its height, at the window's middle. Windows that lie inside give the levels, and by how much the
phase turns from one to the next the frequencies.

All functions take many looks at once: J of them, each with SPAN samples and FRAMES windows. Times are in
samples since the look's first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, LOW_BAND, NULLED, QUARTERS, RATE, TURNS, WINDOW, Floats

__all__ = [
    "BLOCKS",
    "FRAMES",
    "FRAME_START",
    "SPAN",
    "Measured",
    "Pieces",
    "Windows",
    "chosen",
    "fall",
    "measure",
    "pieces",
    "put",
    "rise",
    "several",
    "third_peak",
    "window_loss",
    "windows",
    "windows_nulled",
]

BLOCKS = 5
SPAN = BLOCKS * WINDOW
FRAMES = (SPAN - WINDOW) // HOP + 1
_QUARTERS = SPAN // HOP
_LAG = 2  # windows; 10 ms of phase
_SLACK = RATE // 1000  # edges are known to a millisecond
_FRAME = np.arange(FRAMES, dtype=np.float32)
FRAME_START = _FRAME * HOP  # samples since the look's first
_TURN_LOW, _TURN_HIGH = TURNS[:4, :_QUARTERS], TURNS[4:, :_QUARTERS]

Complex = npt.NDArray[np.complex64]
Keys = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Windows:
    """What the windows of J looks hold of one key each.

    low, high: (J, FRAMES) complex amplitudes of its two tones, their phase relative to the nominal
    frequency. power: (J, FRAMES) mean square, DC left out; without the low band if ``low_band`` (J, FRAMES)
    tells that part.
    """

    low: Complex
    high: Complex
    power: Floats
    low_band: Floats | None = None


def windows(sound: Floats, key: Keys) -> Windows:
    """Measure looks (J, SPAN) for a key each: quarters of windows, turned and added up four by four."""
    quarters = sound.reshape(-1, _QUARTERS, HOP)
    # A product per look: the same samples give the same bits, however many looks are taken together.
    parts = np.matmul(quarters, QUARTERS)
    power: Floats = _four(np.einsum("jqs,jqs->jq", quarters, quarters))
    power /= np.float32(WINDOW)
    power -= _four(parts[:, :, 16]) ** 2
    look = np.arange(len(key))
    row, column = key >> 2, key & 3
    low = (parts[look, :, row] - 1j * parts[look, :, row + 8]) * _TURN_LOW[row]
    high = (parts[look, :, column + 4] - 1j * parts[look, :, column + 12]) * _TURN_HIGH[column]
    return Windows(_four(low), _four(high), power)


def windows_nulled(sound: Floats, key: Keys) -> Windows:
    """The same, deaf to hum and dial tones: every window by itself, at five times the price."""
    every = np.lib.stride_tricks.sliding_window_view(sound, WINDOW, axis=1)[:, ::HOP]
    every = np.ascontiguousarray(every)
    tones = np.matmul(every, NULLED)
    low_band = np.matmul(every, LOW_BAND)
    low_power = np.einsum("jfl,jfl->jf", low_band, low_band) / np.float32(WINDOW)
    power: Floats = np.einsum("jfs,jfs->jf", every, every) / np.float32(WINDOW) - low_power
    look = np.arange(len(key))
    row, column = key >> 2, key & 3
    low = (tones[look, :, row] - 1j * tones[look, :, row + 8]) * _TURN_LOW[row, :FRAMES]
    high = (tones[look, :, column + 4] - 1j * tones[look, :, column + 12]) * _TURN_HIGH[column, :FRAMES]
    np.maximum(power, np.float32(1e-12), out=power)
    return Windows(low, high, power, low_power)


@dataclass(frozen=True)
class Pieces:
    """The newest stretch of tone in each look, its holes bridged; (J,) each.

    start: its first edge; begun: whether that is seen, and not older than the look. end: its last edge, or
    how far it reaches in the newest window; over: whether that is an edge; silent: for how long it has not
    been heard since. length: without holes. first,
    last: windows in which its longest piece stands above half height; piece_from, piece_to: that piece's
    edges. shape: (j, FRAMES) how much of each window tones with such edges fill.
    """

    start: Floats
    begun: npt.NDArray[np.bool_]
    end: Floats
    over: npt.NDArray[np.bool_]
    silent: Floats
    length: Floats
    piece_from: Floats
    piece_to: Floats
    first: npt.NDArray[np.intp]
    last: npt.NDArray[np.intp]
    shape: Floats


def pieces(heights: Floats, hole: float, after: Floats) -> Pieces:
    """Where a tone stood: heights (j, FRAMES), relative to its full height; hole: what is bridged, samples.

    Windows that began before ``after`` (j,) are not looked at: another tone was in them.
    """
    on = heights >= 0.5
    on[after[:, None] > _FRAME * HOP] = False
    look = np.arange(len(heights))
    first = on.argmax(axis=1)
    last = FRAMES - 1 - on[:, ::-1].argmax(axis=1)
    there = on[look, first]
    start, begun = rise(heights, look, first, after)
    end, over = fall(heights, look, last)
    none = np.float32(0)
    start, end = np.where(there, start, none), np.where(there, end, none)
    # A tone that has come back fills less than half of the newest window.
    silent = np.where(over, SPAN - WINDOW * np.minimum(heights[:, -1], np.float32(0.5)) - end, none)
    shape = _filled(start, begun, end, over)
    length = end - start
    result = Pieces(start, begun, end, over, silent, length, start.copy(), end.copy(), first, last, shape)
    broken = several(on, first, last)
    if broken:
        found = [_newest(result, heights[j].tolist(), float(after[j]), j, hole) for j in broken]
        each = np.repeat(np.array(broken), [len(one) for one in found])
        starts, begins, ends, overs, _, _ = (
            np.array(c) for c in zip(*(p for f in found for p in f), strict=True)
        )
        shape[broken] = 0
        np.add.at(shape, each, _filled(starts.astype(np.float32), begins, ends.astype(np.float32), overs))
    return result


def several(on: npt.NDArray[np.bool_], first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]) -> list[int]:
    """The looks whose windows stand above half height in more than one piece."""
    count = on.sum(axis=1)
    return np.flatnonzero((count > 0) & (count < last - first + 1)).tolist()


def rise(
    heights: Floats, look: npt.NDArray[np.intp], at: npt.NDArray[np.intp], after: Floats
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The edges before windows ``at``, the first that are on; and whether they are seen."""
    now, before = heights[look, at], heights[look, np.maximum(at - 1, 0)]
    begin = (at * HOP).astype(np.float32)
    part = np.divide(now - np.float32(0.5), now - before, out=np.zeros_like(now), where=now > before)
    edge = begin + WINDOW / 2 - HOP * part
    # The first window after another tone: this one began as it does, or while that was still in it.
    next_to = begin - HOP < after
    filled = np.where(now > 0.97, after, begin + WINDOW * (1 - np.minimum(now, np.float32(1))))
    edge = np.where(next_to, filled, edge)
    seen = (at > 0) | (next_to & (after > 0))
    return np.where(seen, edge, np.float32(0)).astype(np.float32), seen


def fall(
    heights: Floats, look: npt.NDArray[np.intp], at: npt.NDArray[np.intp]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    seen = at < FRAMES - 1
    now, after = heights[look, at], heights[look, np.minimum(at + 1, FRAMES - 1)]
    past = np.divide(now - np.float32(0.5), now - after, out=np.zeros_like(now), where=seen & (now > after))
    middle = (at * HOP + WINDOW // 2).astype(np.float32)
    reach = SPAN - WINDOW * (1 - np.minimum(now, np.float32(1)))
    return np.where(seen, middle + HOP * past, reach).astype(np.float32), seen


def _newest(
    result: Pieces, heights: list[float], after: float, j: int, hole: float
) -> list[tuple[float, bool, float, bool, int, int]]:
    """The same for one look with more than one piece: the newest, and those before it, hole by hole.

    In plain Python: for one look, that is ten times as fast.
    """
    found: list[tuple[float, bool, float, bool, int, int]] = []
    earliest = max(math.ceil(after / HOP), 0)
    at = FRAMES - 1
    while at >= earliest:
        if heights[at] < 0.5:
            at -= 1
            continue
        last = at
        while at > earliest and heights[at - 1] >= 0.5:
            at -= 1
        now = heights[at]
        if at == earliest:
            begun = after > 0
            start = after if now > 0.97 else at * HOP + WINDOW * (1 - min(now, 1.0))
            start = start if begun else 0.0
        else:
            begun = True
            start = at * HOP + WINDOW / 2 - HOP * (now - 0.5) / (now - heights[at - 1])
        now = heights[last]
        over = last < FRAMES - 1
        if over:
            end = last * HOP + WINDOW / 2 + HOP * (now - 0.5) / (now - heights[last + 1])
        else:
            end = SPAN - WINDOW * (1 - min(now, 1.0))
        if found and found[-1][0] - end >= hole:
            break
        found.append((start, begun, end, over, at, last))
        at -= 1
    longest = max(found, key=lambda piece: piece[2] - piece[0])
    result.start[j], result.begun[j] = found[-1][:2]
    result.length[j] = sum(piece[2] - piece[0] for piece in found)
    result.piece_from[j], _, result.piece_to[j], _, result.first[j], result.last[j] = longest
    return found


def _filled(start: Floats, begun: npt.NDArray[np.bool_], end: Floats, over: npt.NDArray[np.bool_]) -> Floats:
    """The share of each window between two edges; an edge that is not seen is beyond the look."""
    begin = np.where(begun, start, np.float32(-SPAN))[:, None]
    stop = np.where(over, end, np.float32(2 * SPAN))[:, None]
    both = np.minimum(_FRAME * HOP + WINDOW, stop) - np.maximum(_FRAME * HOP, begin)
    return np.clip(both / np.float32(WINDOW), 0, 1)


@dataclass(frozen=True)
class Measured:
    """A tone's inside; (J,) each.

    low, high: squared amplitudes, put right for how far the tones are off. low_off, high_off: Hz off
    nominal. power: mean square of all that counts. steadiness: 1 when the phases advance evenly. spread: of
    the powers, relative to their mean. low_band: share of all power that the low band had. count: windows.
    error: of the amplitudes, from those of a tone with such edges; root mean square, relative to the tone.
    """

    low: Floats
    high: Floats
    low_off: Floats
    high_off: Floats
    power: Floats
    steadiness: Floats
    spread: Floats
    low_band: Floats
    count: Floats
    error: Floats


Columns = TypeVar("Columns", Pieces, Measured)


def chosen(columns: Columns, at: npt.NDArray[np.intp]) -> Columns:
    """Some of the looks."""
    return type(columns)(**{name: values[at] for name, values in vars(columns).items()})


def put(columns: Columns, at: npt.NDArray[np.intp], part: Columns) -> None:
    """Write them back."""
    for name, values in vars(columns).items():
        values[at] = getattr(part, name)


def measure(seen: Windows, found: Pieces, heard: npt.NDArray[np.bool_]) -> Measured:
    """Levels, frequencies and the rest, from the windows that lie inside the longest piece; heard: (j,
    FRAMES) those that count at all.
    """
    first = np.ceil((found.piece_from - _SLACK) / HOP)
    last = np.floor((found.piece_to + _SLACK - WINDOW) / HOP)
    middle = np.clip(
        np.round((found.piece_from + found.piece_to - WINDOW) / (2 * HOP)), found.first, found.last
    )
    narrow = last < first
    first, last = np.where(narrow, middle, first), np.where(narrow, middle, last)
    inside = (first[:, None] <= _FRAME) & (last[:, None] >= _FRAME)
    count = inside.sum(axis=1).astype(np.float32)
    count[count == 0] = 1
    low_power, high_power = _squared(seen.low), _squared(seen.high)
    low, low_spread = _mean(low_power, inside, count)
    high, high_spread = _mean(high_power, inside, count)
    power = np.where(inside, seen.power, np.float32(0)).sum(axis=1) / count
    share = np.zeros(len(power), np.float32)
    if seen.low_band is not None:
        band = np.where(inside, seen.low_band, np.float32(0)).sum(axis=1) / count
        share = band / (band + power)
    # Windows that the tone does not fill tell its phase a little wrong: they serve only where few others are.
    few = count < 4
    earliest = np.where(few, np.maximum(first - 1, found.first), first) + _LAG
    latest = np.where(few, np.minimum(last + 1, found.last), last)
    turned = (earliest[:, None] <= _FRAME) & (latest[:, None] >= _FRAME)
    error = _error(low_power, low, found.shape, heard) + _error(high_power, high, found.shape, heard)
    low_off, low_steady = _turn(seen.low, turned)
    high_off, high_steady = _turn(seen.high, turned)
    return Measured(
        low / window_loss(low_off),
        high / window_loss(high_off),
        low_off,
        high_off,
        power,
        np.minimum(low_steady, high_steady),
        np.maximum(low_spread, high_spread),
        share,
        count,
        np.sqrt(error / 2),
    )


def _error(power: Floats, mean: Floats, shape: Floats, heard: npt.NDArray[np.bool_]) -> Floats:
    """How far amplitudes are from a shape, mean square."""
    away = np.sqrt(power / mean[:, None]) - shape
    away[~heard] = 0
    mean_square: Floats = np.einsum("jf,jf->j", away, away) / np.maximum(heard.sum(axis=1), 1)
    return mean_square


def _squared(tone: Complex) -> Floats:
    return tone.real**2 + tone.imag**2


def _mean(power: Floats, inside: npt.NDArray[np.bool_], count: Floats) -> tuple[Floats, Floats]:
    """Mean of the windows inside, and how far they spread relative to it."""
    kept = np.where(inside, power, np.float32(0))
    mean = kept.sum(axis=1) / count + np.float32(1e-20)
    square = np.einsum("jf,jf->j", kept, kept) / count
    return mean, np.sqrt(np.maximum(square - mean * mean, 0)) / mean


def _turn(tone: Complex, turned: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Hz off nominal, and how evenly the phase advances."""
    steps = tone[:, _LAG:] * tone[:, :-_LAG].conj()
    steps[~turned[:, _LAG:]] = 0
    whole = steps.sum(axis=1)
    length = np.abs(steps).sum(axis=1)
    off = np.angle(whole) * np.float32(RATE / (2 * np.pi * _LAG * HOP))
    return off, np.abs(whole) / np.maximum(length, np.float32(1e-20))


def window_loss(off_hz: Floats) -> Floats:
    """What a window loses of a tone's power that is so many Hz off."""
    loss: Floats = np.square(np.sinc(off_hz * np.float32(WINDOW / RATE))).astype(np.float32, copy=False)
    return loss


Numbers = TypeVar("Numbers", np.float32, np.complex64)


def _four(quarters: npt.NDArray[Numbers]) -> npt.NDArray[Numbers]:
    """Sums of four neighbours along axis 1."""
    pairs = quarters[:, :-1] + quarters[:, 1:]
    return pairs[:, :-2] + pairs[:, 2:]


# The third peak: a Hann window of 32 ms, every 31.25 Hz where speech has its formants.
_PEAK_SPAN = 256
_PEAK_HZ = np.arange(531.25, 3500, 31.25)
_PEAK_AWAY_HZ = 75.0


def _peak_matrix() -> Floats:
    hann = np.hanning(_PEAK_SPAN + 2)[1:-1]
    angle = 2 * np.pi * (np.arange(_PEAK_SPAN) - (_PEAK_SPAN - 1) / 2)[:, None] / RATE * _PEAK_HZ
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * hann[:, None] * (2 / hann.sum())
    return np.ascontiguousarray(waves, dtype=np.float32)


_PEAKS = _peak_matrix()


def third_peak(sound: Floats, found: Pieces, low_hz: Floats, high_hz: Floats) -> Floats:
    """Squared amplitude of the strongest that sounds beside the two tones, 520-3,500 Hz; (J,)."""
    middle = (found.piece_from + found.piece_to) / 2 - _PEAK_SPAN / 2
    start = np.clip(middle, 0, SPAN - _PEAK_SPAN).astype(np.intp)
    look = np.arange(len(sound))
    heard = np.lib.stride_tricks.sliding_window_view(sound, _PEAK_SPAN, axis=1)[look, start]
    waves = np.matmul(heard[:, None, :], _PEAKS)[:, 0]
    waves *= waves
    half = len(_PEAK_HZ)
    power = waves[:, :half] + waves[:, half:]
    power[np.abs(_PEAK_HZ - low_hz[:, None]) < _PEAK_AWAY_HZ] = 0
    power[np.abs(_PEAK_HZ - high_hz[:, None]) < _PEAK_AWAY_HZ] = 0
    strongest: Floats = power.max(axis=1)
    return strongest
