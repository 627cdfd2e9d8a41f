"""The matched filter: where a known sound lies in another, and how far it goes there.

Both sounds are first cut to the band that telephones carry, without the eight tones of a keypad, so that
keys pressed over a prompt hide nothing of it. Then

    likeness   slides a sound's head along: normalised correlation, 1 where it is, near 0 elsewhere
    follow     goes along from there, piece by piece, as clocks drift and packets slip

How far a sound was heard is where it explains most. Let C be the correlation of the two up to a sample and
E the known sound's energy up to there; C²/E is the energy that it explains, at whatever gain. Behind a cut C
stands still while E grows, so C²/E is largest at the cut: there, C/E is the gain g. With it, each 5 ms
explain 2gc - g²e, which is negative where nothing of the known sound is, and the sum of that is largest at
the cut. What noise alone adds behind it exceeds x times its power with a probability of exp(-x/2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples

__all__ = ["DELAY", "Band", "Searched", "Signal", "Track", "Wanted", "band_limited", "follow", "peaks"]

Signal = npt.NDArray[np.float32]

LOWEST_HZ, HIGHEST_HZ = 250.0, 3400.0
KEYPAD_HZ = (697, 770, 852, 941, 1209, 1336, 1477, 1633)  # ITU-T Q.23
NOTCH_HZ = 28.0  # to either side: 1.8 % of the highest tone
TAPS = 1025  # long enough for notches so narrow
DELAY = TAPS // 2
BLOCK = 1 << 14
SEARCHED = 1 << 15

AUDIBLE = 0.01  # of a sound's peak
ENDING = round(0.1 * SAMPLE_RATE)
FAINT = 0.03  # of a sound's energy: an end so faint may be missed

PIECE = 1600  # 200 ms: short enough for 500 ppm between two clocks, long enough to tell sounds apart
DRIFT = 2  # samples by which a piece may lie beside where the one before it lay
LIKE = 0.7
SURE = 0.9  # a piece less like than this may have slipped by a packet or some
SLIPS = (-3, -2, -1, 1, 2, 3)  # packets
# A slip must be far likelier than what it leaves: voices repeat themselves from one period to the next.
BETTER = 0.12
BY_CHANCE = 12.0
STEP = FRAME_SAMPLES // 4
HARM = 0.5


def _taps() -> Signal:
    """The band's impulse response, symmetrical about its middle: it moves nothing in time."""
    hertz = np.arange(TAPS // 2 + 1) * SAMPLE_RATE / TAPS
    gain = ((hertz >= LOWEST_HZ) & (hertz <= HIGHEST_HZ)).astype(float)
    for tone in KEYPAD_HZ:
        gain[np.abs(hertz - tone) < NOTCH_HZ] = 0.0
    response = np.roll(np.fft.irfft(gain, TAPS), TAPS // 2)
    return np.asarray(response * np.hanning(TAPS + 2)[1:-1], np.float32)


_TAPS = _taps()
_SPECTRUM = np.fft.rfft(_TAPS, BLOCK).astype(np.complex64)


def band_limited(sound: npt.ArrayLike) -> Signal:
    """A sound of shape (n,) at 8 kHz as float32 of the same length, as it is compared.

    What is no number counts as silence. Raises ValueError for any other shape.
    """
    samples = np.asarray(sound)
    if samples.ndim != 1:
        raise ValueError(f"a sound has one dimension, not the shape {samples.shape}")
    plain = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    hop = BLOCK - TAPS + 1
    filtered = np.zeros(len(plain) + BLOCK + TAPS, np.float32)
    for start in range(0, len(plain), hop):
        part = plain[start : start + hop]
        if part.any():
            filtered[start : start + BLOCK] += np.fft.irfft(np.fft.rfft(part, BLOCK) * _SPECTRUM, BLOCK)
    return filtered[DELAY : DELAY + len(plain)]


class Band:
    """``band_limited`` for a sound that comes in parts; what comes out is DELAY samples late."""

    def __init__(self) -> None:
        self._before: Signal = np.zeros(TAPS - 1, np.float32)

    def feed(self, part: Samples) -> Signal:
        """The next part: int16, shape (n,); as many samples."""
        sound = np.concatenate([self._before, part.astype(np.float32)])
        self._before = sound[-(TAPS - 1) :]
        return np.convolve(sound, _TAPS, "valid")


class Wanted:
    """A known sound, as it is looked for: int16, shape (n,), 8 kHz; onset and offset: what can be heard."""

    def __init__(self, sound: Samples) -> None:
        self.signal = band_limited(sound)
        size = np.abs(sound.astype(np.int32))
        loud = np.flatnonzero(size > AUDIBLE * size.max(initial=0))
        self.onset = int(loud[0]) if len(loud) else 0
        self.offset = int(loud[-1]) + 1 if len(loud) else 0

    def head(self, length: int) -> Signal:
        """So many samples from the onset on, or what there is of them."""
        return self.signal[self.onset : min(self.onset + length, self.offset)]

    def faint_from(self, length: int) -> bool:
        """Whether what follows behind so many samples can hardly be heard."""
        rest = self.signal[length:]
        return length >= self.offset - ENDING or float(np.dot(rest, rest)) <= FAINT * self._energy

    def audible(self, first: int, last: int) -> int:
        """So many samples between two can be heard: in the 20 ms that are no pause."""
        return (
            int(np.count_nonzero(self._loud[first // FRAME_SAMPLES : last // FRAME_SAMPLES])) * FRAME_SAMPLES
        )

    @cached_property
    def _energy(self) -> float:
        return float(np.dot(self.signal, self.signal))

    @cached_property
    def _loud(self) -> npt.NDArray[np.bool_]:
        whole = len(self.signal) // FRAME_SAMPLES * FRAME_SAMPLES
        powers = np.square(self.signal[:whole]).reshape(-1, FRAME_SAMPLES).mean(axis=1)
        return powers > 0.1 * powers.mean() if len(powers) else np.zeros(0, bool)


class Searched:
    """A sound, as ``band_limited`` gives it, that others of at most ``longest`` samples are looked for in."""

    def __init__(self, sound: Signal, longest: int) -> None:
        self.sound = sound
        self._energy = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
        whole = 1 << max(len(sound) - 1, 1).bit_length()
        self._size = max(min(whole, SEARCHED), 1 << (2 * longest).bit_length())
        self._hop = self._size - longest + 1
        self._spectra: dict[int, npt.NDArray[np.complex64]] = {}
        self._windows: dict[int, Signal] = {}

    def likeness(self, wanted: Signal) -> Signal:
        """How like the sound is to the wanted one from each sample on: -1 to 1, shape (n - m + 1,).

        Empty when the wanted one is longer than the sound.
        """
        places = len(self.sound) - len(wanted) + 1
        energy = float(np.dot(wanted, wanted))
        if places <= 0 or not energy:
            return np.zeros(max(places, 0), np.float32)
        spectrum = np.conj(np.fft.rfft(wanted, self._size))
        found = np.empty(places, np.float32)
        for start in range(0, places, self._hop):
            products = np.fft.irfft(self._spectrum(start) * spectrum, self._size)
            found[start : start + self._hop] = products[: min(self._hop, places - start)]
        found *= self._loudness(len(wanted)) / np.float32(np.sqrt(energy))
        return found

    def _loudness(self, length: int) -> Signal:
        """One over the root of the energy in every window of a length."""
        if length not in self._windows:
            # Of next to nothing, rounding would make likeness.
            windows = np.maximum(self._energy[length:] - self._energy[:-length], length)
            self._windows[length] = np.asarray(1 / np.sqrt(windows), np.float32)
        return self._windows[length]

    def _spectrum(self, start: int) -> npt.NDArray[np.complex64]:
        if start not in self._spectra:
            part = self.sound[start : start + self._size]
            self._spectra[start] = np.fft.rfft(part, self._size).astype(np.complex64)
        return self._spectra[start]


def peaks(likely: Signal, least: float, apart: int) -> list[int]:
    """Where likeness is at least so much and the greatest within so many samples to either side."""
    found = []
    for first in range(0, len(likely), apart):
        place = first + int(likely[first : first + apart].argmax())
        around = likely[max(place - apart, 0) : place + apart + 1]
        if likely[place] >= least and likely[place] >= around.max():
            found.append(place)
    return found


@dataclass(frozen=True)
class Track:
    """A known sound followed through another.

    length: samples of it that were heard, from its start to where it was cut. explained: energy of the
    other sound that it accounts for, up to there. score: likeness up to there, 0 to 1. gain: of the other
    sound over the known one. aligned: the other sound, where each piece of the known one was looked for.
    """

    length: int
    explained: float
    score: float
    gain: float
    aligned: Signal


def follow(sound: Signal, wanted: Signal, at: int) -> Track:
    """Follow a wanted sound through another, of which its first sample is near sample ``at``.

    ``at`` may be negative: then the beginning is missing.
    """
    room = PIECE + len(wanted) // 16  # for a slip in every sixteenth packet
    padded = np.zeros(len(wanted) + 2 * room, np.float32)
    first, last = max(at - room, 0), min(at + len(wanted) + room, len(sound))
    if last > first:
        padded[first - at + room : last - at + room] = sound[first:last]
    lags = [room]
    for start in range(0, len(wanted), PIECE):
        lags.append(_next_lag(padded, wanted[start : start + PIECE], start, lags[-1]))
    aligned = _aligned(padded, wanted, lags[1:])
    product, energy = wanted * aligned, np.square(wanted)
    gain = _gain(product, energy)
    explains = np.asarray(2 * gain * product - gain**2 * energy, np.float32)
    length, explained = _heard(explains, np.square(aligned))
    total = float(product[:length].sum())
    norm = float(energy[:length].sum()) * float(np.square(aligned[:length]).sum())
    return Track(
        length=length,
        explained=explained,
        score=min(1.0, max(0.0, total) / max(norm, 1.0) ** 0.5),
        gain=gain,
        aligned=aligned,
    )


def _aligned(padded: Signal, wanted: Signal, lags: list[int]) -> Signal:
    """The other sound, each piece from its lag on; where packets slipped, from the one up to the other."""
    aligned = np.zeros(len(wanted), np.float32)
    for number, lag in enumerate(lags):
        part = padded[number * PIECE + lag :][:PIECE]
        aligned[number * PIECE : number * PIECE + len(part)] = part[: len(wanted) - number * PIECE]
    for number, (lag, following) in enumerate(pairwise(lags)):
        if abs(following - lag) > DRIFT:
            start = number * PIECE
            sought = wanted[start : start + 2 * PIECE]
            before = padded[start + lag :][: len(sought)]
            behind = padded[start + following :][: len(sought)]
            split = int(np.cumsum(sought * (before - behind)).argmax()) + 1
            aligned[start : start + len(sought)] = np.concatenate([before[:split], behind[split:]])
    return aligned


def _gain(product: Signal, energy: Signal) -> float:
    """The gain of the part that is there: C/E where C²/E is largest."""
    correlation = np.cumsum(product, dtype=np.float64)
    known = np.maximum(np.cumsum(energy, dtype=np.float64), 1.0)
    end = int((np.maximum(correlation, 0) ** 2 / known).argmax())
    return max(0.0, float(correlation[end] / known[end]))


def _heard(explains: Signal, power: Signal) -> tuple[int, float]:
    """How many samples of a sound were heard, and how much of the other's energy they explain.

    explains: what each sample explains, if it is there; power: of the other sound.
    """
    whole = -(-len(explains) // STEP) * STEP
    steps = np.zeros(whole)
    steps[: len(explains)] = explains
    steps = steps.reshape(-1, STEP).sum(axis=1)
    positive = steps[steps > 0]
    # A packet lost in the midst of a vowel must not cost more than all that follows it.
    worst = -HARM * float(positive.mean()) if len(positive) else 0.0
    total = np.cumsum(np.maximum(steps, worst))
    most = int(total.argmax())
    if total[most] <= 0:
        return 0, 0.0
    heard = float(power[: (most + 1) * STEP].sum(dtype=np.float64))
    noise = max(0.0, heard - float(total[most])) / ((most + 1) * STEP)
    step = int(np.argmax(total >= total[most] - BY_CHANCE * noise))
    fine = np.cumsum(explains[step * STEP : (step + 2) * STEP], dtype=np.float64)
    return step * STEP + int(fine.argmax()) + 1, float(total[step])


def _next_lag(padded: Signal, piece: Signal, start: int, lag: int) -> int:
    """Where the next piece lies: near where the last one lay, or some whole packets away."""
    best, like = _best_near(padded, piece, start, lag)
    if like >= SURE:
        return best
    slipped = max((_best_near(padded, piece, start, lag + n * FRAME_SAMPLES) for n in SLIPS), key=_likeness)
    if slipped[1] >= max(LIKE, like + BETTER):
        return slipped[0]
    if like >= LIKE:
        return best
    return lag  # nothing of it is here: a pause, a loss, or another sound, of which no lag is to be learnt


def _best_near(padded: Signal, piece: Signal, start: int, lag: int) -> tuple[int, float]:
    first = min(max(start + lag - DRIFT, 0), len(padded) - len(piece))
    window = padded[first : first + len(piece) + 2 * DRIFT]
    products = np.correlate(window, piece, "valid")
    best = int(products.argmax())
    part = window[best : best + len(piece)]
    norm = float(np.sqrt(np.dot(part, part) * np.dot(piece, piece)))
    return first + best - start, float(products[best]) / norm if norm > len(piece) else 0.0


def _likeness(found: tuple[int, float]) -> float:
    return found[1]
