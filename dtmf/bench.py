"""How fast the receiver is: tapes of telephone sound with known digits, and what decoding them costs.

A tape is an hour, or as much as is asked for, of what the far end of an IVR's line hears, at 8 kHz, int16,
through mu-law: quiet noise all along (-65 to -45 dBm0), speech with its pauses over it, and keys. Levels of
speech are drawn from -28 to -14 dBm0, its speed from 0.9 to 1.1, so that sentences that come again are not
the same sound. Keys come ten in a row, 60 to 140 ms long, 60 to 300 ms apart, at -20 to -8 dBm0 and -6 to
+2 dB of twist, up to 1 % off their frequencies; nobody speaks meanwhile.

    call     such a row every 100 s
    dense    every 9 s: a caller who keys a card number, again and again
    speech   none

Time is measured by whoever calls: ``clock`` is a function that gives seconds of processor time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from dtmf.alignment import align
from dtmf.errors import DtmfError
from dtmf.g711 import decoded, encoded
from dtmf.generator import generate
from dtmf.goertzel import RATE, amplitude
from dtmf.keypress import KeyDown
from dtmf.receiver import Receiver
from dtmf.resample import to_8k
from dtmf.wav import read_wav

__all__ = [
    "TAPES",
    "Cost",
    "Floats",
    "Tape",
    "TapeName",
    "compare",
    "heard_of",
    "live_costs",
    "live_ticks",
    "read_voice",
    "synthetic_voice",
    "tape",
]

Floats = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]
TapeName = Literal["call", "dense", "speech"]
TAPES: tuple[TapeName, ...] = ("call", "dense", "speech")

_PERIOD_S: dict[TapeName, float | None] = {"call": 100.0, "dense": 9.0, "speech": None}
_IN_A_ROW = 10
_KEYS = "0123456789*#"
_TAPER = RATE // 50  # samples in which a vowel rises and falls


@dataclass(frozen=True, repr=False)
class Tape:
    """Sound, int16 (n,) at 8 kHz, and the digits in it, in order."""

    name: TapeName
    samples: Int16
    digits: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def until(self, seconds: float) -> Tape:
        """The start of it, so long at most, and no row of keys cut in two."""
        period = _PERIOD_S[self.name]
        if period is None:
            return Tape(self.name, self.samples[: round(seconds * RATE)], "")
        rows = int(min(seconds, self.seconds) // period)
        return Tape(self.name, self.samples[: rows * round(period * RATE)], self.digits[: rows * _IN_A_ROW])


@dataclass(frozen=True)
class Cost:
    """Seconds that the same work took in each round, and what came of it."""

    seconds: tuple[float, ...]
    digits: str

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def compare(
    receivers: dict[str, Callable[[], str]], *, clock: Callable[[], float], rounds: int = 7
) -> dict[str, Cost]:
    """What each of some receivers costs: all of them in turn, in each of ``rounds`` rounds.

    What disturbs the machine disturbs all of them alike, then. receivers: name -> what decodes a tape and
    returns its digits.
    """
    spent: dict[str, list[float]] = {name: [] for name in receivers}
    digits = dict.fromkeys(receivers, "")
    for _ in range(rounds):
        for name, decode in receivers.items():
            start = clock()
            digits[name] = decode()
            spent[name].append(clock() - start)
    return {name: Cost(tuple(spent[name]), digits[name]) for name in receivers}


def heard_of(expected: str, heard: str) -> tuple[int, int]:
    """How many of the digits expected were heard, in order, and how many digits were heard beside them."""
    pairs = align(expected, heard)
    found = sum(
        pair.expected is not None and pair.heard is not None and expected[pair.expected] == heard[pair.heard]
        for pair in pairs
    )
    return found, len(heard) - found


def tape(name: TapeName, voice: Sequence[Floats], *, seconds: float = 3600, seed: int = 1) -> Tape:
    """A tape of some kind (see the module): voice are sentences, float32, 8 kHz, in any order."""
    if not voice:
        raise DtmfError("no voice to speak on the tape")
    rng = np.random.default_rng([seed, TAPES.index(name)])
    sound = np.zeros(round(seconds * RATE), np.float32)
    free, digits = [], []
    period = _PERIOD_S[name]
    length = len(sound) if period is None else round(period * RATE)
    for first in range(0, len(sound), length):
        last = min(first + length, len(sound))
        if period is None or last - first < length:
            free.append((first, last))
            continue
        row, keyed = _row_of_keys(rng)
        start = first + int(rng.integers(RATE // 10, length - len(row) - RATE // 10))
        sound[start : start + len(row)] = row
        digits.append(keyed)
        free += [(first, start - RATE // 10), (start + len(row) + RATE // 10, last)]
    for first, last in free:
        _speak(sound[first:last], voice, rng)
    for first in range(0, len(sound), 10 * RATE):
        part = sound[first : first + 10 * RATE]
        loudness = np.float32(amplitude(rng.uniform(-65, -45)) / np.sqrt(2))
        part += loudness * rng.standard_normal(len(part), np.float32)
    linear = np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)
    return Tape(name, _through_mu_law(linear), "".join(digits))


def live_ticks(
    lines: int, *, ticks: int, share: float, voice: Sequence[Floats], seed: int = 1
) -> tuple[npt.NDArray[np.int16], list[str]]:
    """What ``lines`` lines hear in ticks of 20 ms: (ticks, lines, 160) int16, and each line's digits.

    At any moment about ``share`` of the lines are in a tone of 100 ms, each at its own time; half of the
    others hear speech, half noise.
    """
    rng = np.random.default_rng([seed, lines, ticks])
    tone, n = RATE // 10, ticks * 160
    every = max(round(tone / share), 2 * tone) if share else 0  # samples between two presses of a line
    pool = tape("speech", voice, seconds=60, seed=seed).samples
    tones = {key: np.round(32767 * generate(key, level_dbm0=-12)).astype(np.int16) for key in _KEYS}
    sound = np.empty((lines, n), np.int16)
    digits = []
    for line in range(lines):
        if line % 2:
            start = int(rng.integers(len(pool)))
            sound[line] = np.take(pool, np.arange(start, start + n), mode="wrap")
        else:
            sound[line] = 20 * rng.standard_normal(n, np.float32)
        keyed = []
        # The lines' presses are spread evenly; the first may be cut off by the start, so it is left out.
        for start in range(int(every * ((line * 0.618) % 1)), n - 2 * tone, every or n):
            if not every or start < tone:
                continue
            key = _KEYS[int(rng.integers(len(_KEYS)))]
            keyed.append(key)
            quiet = sound[line, start - tone // 2 : start + tone * 3 // 2]
            quiet[:] = 20 * rng.standard_normal(len(quiet), np.float32)
            sound[line, start : start + tone] += tones[key]
        digits.append("".join(keyed))
    return np.ascontiguousarray(_through_mu_law(sound).reshape(lines, ticks, 160).swapaxes(0, 1)), digits


def live_costs(frames: Int16, *, clock: Callable[[], float]) -> Cost:
    """Seconds of each tick of (ticks, lines, 160), and the digits that went down, in the order of that."""
    receiver = Receiver(frames.shape[1])
    spent, digits = [], []
    for frame in frames:
        start = clock()
        events = receiver.feed(frame)
        spent.append(clock() - start)
        digits += [event.digit for event in events if isinstance(event, KeyDown)]
    return Cost(tuple(spent), "".join(digits))


def read_voice(folder: Path) -> list[Floats]:
    """The sound files under a folder, each a sentence, all channels but the first left out; sorted by path.

    Raises DtmfError if there are none, or one cannot be read.
    """
    sentences = []
    for file in sorted(f for f in folder.rglob("*") if f.suffix.lower() in (".wav", ".flac", ".ogg")):
        try:
            samples, rate = read_wav(file)
        except DtmfError as error:
            raise DtmfError(f"{file}: {error}") from error
        sentences.append(to_8k(np.ascontiguousarray(samples[:, 0]), rate))
    sentences = [s for s in sentences if len(s) > RATE // 4 and np.any(s)]
    if not sentences:
        raise DtmfError(f"{folder}: no speech in it: WAV, FLAC or Ogg of a quarter of a second or more")
    return sentences


def synthetic_voice(*, seconds: float = 120, seed: int = 1) -> list[Floats]:
    """Sentences that no one ever said, from nothing but arithmetic: vowels with hisses between them.

    A vowel is the harmonics of a pitch that glides and trembles (80 to 200 Hz) under three formants that
    glide too, and breath, 60 to 250 ms of it; one syllable in three begins with a hiss. Nobody would take it
    for a language, but it keeps a receiver about as busy as speech does.
    """
    rng = np.random.default_rng(seed)
    sentences, length = [], 0
    while length < seconds * RATE:
        pitch = rng.uniform(90, 170)
        syllables = [_syllable(rng, pitch * rng.uniform(0.9, 1.15)) for _ in range(rng.integers(5, 20))]
        sentences.append(np.concatenate(syllables))
        length += len(sentences[-1])
    return sentences


def _through_mu_law(samples: Int16) -> Int16:
    through = decoded("mulaw")[encoded("mulaw")]
    return through[samples.view(np.uint16)]


def _row_of_keys(rng: np.random.Generator) -> tuple[Floats, str]:
    """Ten keys, pressed one after the other."""
    keyed = "".join(_KEYS[i] for i in rng.integers(len(_KEYS), size=_IN_A_ROW))
    sound = generate(
        keyed,
        tone_ms=rng.uniform(60, 140, _IN_A_ROW),
        gap_ms=rng.uniform(60, 300, _IN_A_ROW),
        level_dbm0=rng.uniform(-20, -8, _IN_A_ROW),
        twist_db=rng.uniform(-6, 2, _IN_A_ROW),
        offset=rng.uniform(-0.01, 0.01),
    )
    return sound, keyed


def _speak(sound: Floats, voice: Sequence[Floats], rng: np.random.Generator) -> None:
    """Fill a part of a tape with sentences and the pauses between them."""
    at = int(rng.uniform(0, 0.5) * RATE)
    while at < len(sound):
        sentence = voice[int(rng.integers(len(voice)))]
        speed = rng.uniform(0.9, 1.1)
        said = np.interp(np.arange(0, len(sentence) - 1, speed), np.arange(len(sentence)), sentence)
        said *= amplitude(rng.uniform(-28, -14)) / np.sqrt(2 * np.mean(said**2))
        part = sound[at : at + len(said)]
        part += said[: len(part)]
        at += len(said) + int(rng.uniform(0.2, 1.2) * RATE)


def _syllable(rng: np.random.Generator, pitch: float) -> Floats:
    n = int(rng.uniform(0.06, 0.25) * RATE)
    way = np.linspace(0, 1, n)
    trembling = 0.01 * np.interp(way, np.linspace(0, 1, 12), rng.standard_normal(12))
    hz = pitch * (1 + rng.uniform(-0.2, 0.2) * way + trembling)
    harmonics = np.arange(1, int(3600 / hz.max()) + 1)[:, None]
    envelope = np.zeros((len(harmonics), n))
    for weight, width, lowest, highest in (
        (1.0, 150, 250, 750),
        (0.3, 200, 850, 2300),
        (0.15, 300, 2200, 3000),
    ):
        formant = np.interp(way, (0, 1), rng.uniform(lowest, highest, 2))
        envelope += weight / (1 + ((harmonics * hz - formant) / width) ** 2)
    vowel = (envelope * np.sin(harmonics * 2 * np.pi * np.cumsum(hz) / RATE)).sum(axis=0)
    vowel += 0.1 * np.sqrt(np.mean(vowel**2)) * rng.standard_normal(n)
    ends = np.minimum(np.arange(n), np.arange(n)[::-1])
    parts = [vowel * np.minimum(ends / _TAPER, 1)]
    if rng.random() < 1 / 3:
        parts.insert(0, 0.2 * np.diff(rng.standard_normal(int(rng.uniform(0.03, 0.1) * RATE)), prepend=0))
    return np.concatenate(parts).astype(np.float32)
