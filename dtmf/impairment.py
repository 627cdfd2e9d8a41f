"""What a telephone line does to sound: noise, hum, other tones, echo, codecs and lost packets, all seeded.

They are applied in the order in which they happen, whatever the order of the arguments:

    where the caller is     under      speech or music beneath the keys
    on the line             echo       of all that the caller sends
                            dial_tone  of the exchange
                            hum        of the mains
                            snr_db, noise_dbm0   white noise
                            impulses   clicks
                            dc         a constant
    in the converter        clip       and full scale, always
                            law        there and back through G.711
    in the network          lost       packets of 20 ms, of which silence is left

Levels are in dBm0 (``goertzel.amplitude``): a sine of full scale has +3.14 dBm0, and any other sound has
the level of the sine of the same mean power.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.g711 import LAWS, Law, there_and_back
from dtmf.goertzel import amplitude
from dtmf.resample import checked_rate

__all__ = ["impair", "mean_dbm0", "sounding_dbm0"]

Floats = npt.NDArray[np.float32]

TELEPHONE_HZ = 4000  # the band that noise is measured in
QUIET_DB = 40.0  # what stays this far below the loudest peak is a pause ...
QUIET_S = 0.005  # ... if it lasts this long
PACKETS_PER_SECOND = 50
_PIECE = 1 << 18  # samples made at once: what lies between stays in the cache
_ROW = 1 << 10
_LARGEST = 100.0  # of a sample: what a converter has not clipped yet, and no integers taken for floats
_LOUDEST_DBM0, _FAINTEST_DBM0 = 40.0, -150.0


def mean_dbm0(sound: npt.ArrayLike) -> float:
    """The level of a whole sound, pauses and all: floats in [-1, 1] or int16; -inf for silence."""
    return _dbm0(_mean_square(_checked(sound)))


def sounding_dbm0(sound: npt.ArrayLike, rate: int = 8000) -> float:
    """The level of a sound while it sounds: of key presses, both tones together; -inf for silence.

    A pause is whatever stays 40 dB below the sound's loudest peak for 5 ms or more.
    """
    array = _checked(sound)
    height = np.abs(array)
    heard = np.flatnonzero(height > height.max(initial=0) * 10 ** (-QUIET_DB / 20))
    if not len(heard):
        return -math.inf
    steps = np.diff(heard)
    inside = steps < QUIET_S * checked_rate(rate)
    count = int(steps[inside].sum()) + int((~inside).sum()) + 1
    return _dbm0(_mean_square(array) * len(array) / count)


def impair(
    sound: npt.ArrayLike,
    *,
    rate: int = 8000,
    seed: int = 0,
    under: tuple[npt.ArrayLike, float] | None = None,
    echo: tuple[float, float] | Iterable[tuple[float, float]] | None = None,
    dial_tone: tuple[float | Sequence[float], float] | None = None,
    hum: tuple[float, ...] | Iterable[tuple[float, ...]] | None = None,
    snr_db: float | None = None,
    noise_dbm0: float | None = None,
    impulses: tuple[float, float] | None = None,
    dc: float = 0.0,
    clip: float | None = None,
    law: Law | None = None,
    lost: float | Sequence[bool] | npt.NDArray[Any] | None = None,
) -> Floats:
    """A sound after a bad line: float32 (n,) in [-1, 1], as long as it was.

    sound: (n,) at ``rate`` Hz, floats in [-1, 1] or int16. What is random comes from ``seed``, each
    impairment from a stream of its own: the same arguments give the same bits, and the noise stays what it
    was when clicks are added to it.

    under: (other sound at the same rate, its level); it is repeated or cut to length, and its level is that
        of its whole, pauses and all.
    echo: (delay in ms, dB relative to the sound, 0 or less), or several.
    dial_tone: (its frequencies in Hz, the level of each), say ``((350, 440), -13)`` or ``(425, -10)``.
    hum: (Hz, level) or (Hz, level, n), or several; n: so many harmonics too, the k-th multiple of the
        frequency 20 log10(k) dB below the first.
    snr_db: white noise so far below the key tones: their level is that of both together, while they sound
        (:func:`sounding_dbm0` of the sound as given), that of the noise what of it lies below 4 kHz.
    noise_dbm0: the same noise by its own level below 4 kHz, instead of snr_db.
    impulses: (mean number per second, peak level): clicks of a few ms at random times, which ring at random
        frequencies from 400 to 3,200 Hz; their highest sample is the peak of a sine of that level.
    dc: a constant, 1.0 = full scale.
    clip: the level of the loudest sine that still goes through unclipped.
    law: "mulaw" or "alaw", ITU-T G.711.
    lost: the share of packets of 20 ms that get lost, each by chance; or a pattern of true (lost) and false
        for the packets from the first on, which is repeated. Packets are counted from the first sample.

    Raises DtmfError for what makes no sense, such as an SNR without a sound.
    """
    rate = checked_rate(rate)
    given = _checked(sound)
    made = given.copy()
    try:
        seed = operator.index(seed)
    except TypeError:
        raise DtmfError(f"a seed of {seed!r}; give a whole number") from None
    if seed < 0:
        raise DtmfError(f"a seed of {seed}; give 0 or more")

    def stream(number: int) -> np.random.Generator:
        return np.random.default_rng([seed, number])

    if under is not None:
        _add_under(made, *_fields("under", under, 2, 2))
    if echo is not None:
        _add_echoes(made, rate, _several("echo", echo, 2, 2))
    if dial_tone is not None:
        hz, level = _fields("dial_tone", dial_tone, 2, 2)
        _add_sines(
            made,
            rate,
            stream(0),
            [("dial_tone", f, level) for f in (hz if isinstance(hz, Iterable) else (hz,))],
        )
    if hum is not None:
        _add_sines(made, rate, stream(1), [tone for one in _several("hum", hum, 2, 3) for tone in _hum(*one)])
    if snr_db is not None:
        if noise_dbm0 is not None:
            raise DtmfError("snr_db and noise_dbm0 are two ways to say one thing; give one of them")
        level = sounding_dbm0(given, rate)
        if len(given) and level == -math.inf:
            raise DtmfError("an SNR needs a sound; with silence give noise_dbm0")
        _add_noise(made, rate, stream(2), level - _number("snr_db", snr_db, -100, 200))
    elif noise_dbm0 is not None:
        _add_noise(made, rate, stream(2), _level("noise_dbm0", noise_dbm0))
    if impulses is not None:
        _add_impulses(made, rate, stream(3), *_fields("impulses", impulses, 2, 2))
    made += np.float32(_number("dc", dc, -1, 1))
    ceiling = 1.0 if clip is None else min(amplitude(_level("clip", clip)), 1.0)
    np.clip(made, -ceiling, ceiling, out=made)
    if law is not None:
        if law not in LAWS:
            raise DtmfError(f"a law of {law!r}; give {' or '.join(map(repr, LAWS))}")
        made = there_and_back(made, law)
    if lost is not None:
        _lose(made, rate, stream(4), lost)
    return made


def _add_under(made: Floats, other: npt.ArrayLike, level: float) -> None:
    below = _checked(other)
    power = _mean_square(below)
    if not power:
        raise DtmfError("the sound to lay under is silent")
    below = below * np.float32(10 ** ((_level("under", level) - _dbm0(power)) / 20))
    made += np.resize(below, len(made))


def _add_echoes(made: Floats, rate: int, echoes: list[Sequence[Any]]) -> None:
    source = made.copy()
    for delay_ms, db in echoes:
        delay = round(_number("echo", delay_ms, 0, 3_600_000) * rate / 1000)
        if _number("echo", db) > 0:
            raise DtmfError(f"an echo {db:g} dB louder than the sound; give its dB as 0 or less")
        if delay < len(made):
            made[delay:] += np.float32(10 ** (db / 20)) * source[: len(source) - delay]


def _hum(hz: float, level: float, harmonics: float = 0) -> list[tuple[str, float, float]]:
    count = int(_number("hum", harmonics, 0, 100))
    hz, level = _number("hum", hz), _number("hum", level)
    return [("hum", k * hz, level - 20 * math.log10(k)) for k in range(1, count + 2)]


def _add_sines(
    made: Floats, rate: int, random: np.random.Generator, tones: list[tuple[str, float, float]]
) -> None:
    """tones: (which argument, Hz, dBm0) of each; their phases are random."""
    for name, hz, level in tones:
        hz = _number(name, hz)
        if not 0 < hz < rate / 2:
            raise DtmfError(f"{name} at {hz:g} Hz; a tone must be between 0 and {rate / 2:g} Hz")
        height, phase = amplitude(_level(name, level)), random.uniform(0, 2 * math.pi)
        # sin(a + b) = sin a cos b + cos a sin b: the start of each row, and the places within one.
        b = 2 * np.pi * hz / rate * np.arange(_ROW)
        within = np.stack([np.cos(b), np.sin(b)]).astype(np.float32)
        for first in range(0, len(made), _PIECE):
            piece = made[first : first + _PIECE]
            a = 2 * np.pi * (np.arange(first, first + len(piece), _ROW) * (hz / rate) % 1) + phase
            starts = height * np.stack([np.sin(a), np.cos(a)], axis=1)
            piece += (starts.astype(np.float32) @ within).ravel()[: len(piece)]


def _add_noise(made: Floats, rate: int, random: np.random.Generator, level: float) -> None:
    # White up to half the rate; what lies above the telephone's band comes on top of the level.
    spread = amplitude(level) / math.sqrt(2) * math.sqrt(max(rate / 2 / TELEPHONE_HZ, 1))
    for first in range(0, len(made), _PIECE):
        piece = made[first : first + _PIECE]
        piece += np.float32(spread) * random.standard_normal(len(piece), dtype=np.float32)


def _add_impulses(
    made: Floats, rate: int, random: np.random.Generator, per_second: float, level: float
) -> None:
    mean = _number("impulses", per_second, 0, 1000) * len(made) / rate
    height = amplitude(_level("impulses", level))
    count = int(random.poisson(mean))
    t = np.arange(round(0.004 * rate)) / rate
    for at, hz, sign in zip(
        random.integers(0, max(len(made), 1), count).tolist(),
        random.uniform(400, min(3200, 0.45 * rate), count).tolist(),
        random.choice([-1.0, 1.0], count).tolist(),
        strict=True,
    ):
        click = sign * height * np.exp(-t / 0.0006) * np.cos(2 * np.pi * hz * t)
        made[at : at + len(t)] += click[: len(made) - at].astype(np.float32)


def _lose(made: Floats, rate: int, random: np.random.Generator, lost: object) -> None:
    packet = np.arange(len(made)) * PACKETS_PER_SECOND // rate
    count = int(packet[-1]) + 1 if len(made) else 0
    if np.ndim(lost) == 0:  # type: ignore[arg-type]
        gone = random.random(count) < _number("lost", lost, 0, 1)
    else:
        pattern = np.asarray(lost)
        if pattern.ndim != 1 or not len(pattern) or pattern.dtype.kind not in "bui" or (pattern > 1).any():
            raise DtmfError("lost is a share from 0 to 1, or a list of true (lost) and false, one per packet")
        gone = np.resize(pattern.astype(bool), count)
    made[gone[packet]] = 0


def _checked(sound: npt.ArrayLike) -> Floats:
    """A sound as float32 (n,). Raises DtmfError."""
    array: npt.NDArray[Any] = np.asarray(sound)
    if array.ndim != 1:
        raise DtmfError(f"a sound of shape {array.shape}; give one channel, shape (n,)")
    if array.dtype == np.int16:
        scaled: Floats = np.multiply(array, np.float32(1 / 32768), dtype=np.float32)
        return scaled
    if not array.size:
        return np.zeros(0, np.float32)
    if array.dtype.kind != "f":
        raise DtmfError(f"a sound of type {array.dtype}; give int16, or floats in [-1, 1]")
    if not np.abs(array).max() <= _LARGEST:
        raise DtmfError(f"a sound with samples that are no numbers from {-_LARGEST:g} to {_LARGEST:g}")
    floats: Floats = array.astype(np.float32, copy=False)
    return floats


def _fields(name: str, value: object, least: int, most: int) -> Sequence[Any]:
    if not isinstance(value, tuple | list) or not least <= len(value) <= most:
        raise DtmfError(f"{name} of {value!r}; give a tuple of {least}" + f" or {most}" * (most > least))
    return value


def _several(name: str, value: Any, least: int, most: int) -> list[Sequence[Any]]:
    """One tuple of numbers, or several of them."""
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise DtmfError(f"{name} of {value!r}; give a tuple, or a list of tuples")
    many = list(value)
    if many and not isinstance(many[0], Iterable):
        many = [value]
    return [_fields(name, one, least, most) for one in many]


def _number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DtmfError(f"{name} of {value!r}; give a number") from None
    if not (math.isfinite(number) and least <= number <= most):
        limits = f" from {least:g} to {most:g}" if math.isfinite(least) and math.isfinite(most) else ""
        raise DtmfError(f"{name} of {number:g}; give a number{limits}")
    return number


def _level(name: str, value: Any) -> float:
    return _number(name, value, _FAINTEST_DBM0, _LOUDEST_DBM0)


def _mean_square(sound: Floats) -> float:
    return float(np.vdot(sound, sound)) / len(sound) if len(sound) else 0.0


def _dbm0(power: float) -> float:
    """The level of the sine that has this mean square."""
    return 10 * math.log10(2 * power / amplitude(0.0) ** 2) if power else -math.inf
