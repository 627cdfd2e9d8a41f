"""Any rate to 8 kHz, in a stream: a polyphase FIR, written as matrix products.

An output sample is the sum of the inputs around its instant, weighted by a windowed sinc around that
instant; so nothing is delayed, and a rate of 8,000 L / M needs L sets of weights. Outputs are made in rows
that begin at the same phase, rows in blocks of a fixed number, a few columns of a block in one product.
Because every block is computed alike, the output does not depend on the pieces that the input came in.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError

if TYPE_CHECKING:
    from fractions import Fraction  # loads decimal, which those at 8 kHz need not wait for

__all__ = ["HIGHEST_RATE", "LOWEST_RATE", "Resampler", "checked_rate", "to_8k"]

Floats = npt.NDArray[np.float32]

LOWEST_RATE = 4000  # below it the keypad's highest tone, 1633 Hz with its tolerance, is lost
HIGHEST_RATE = 384_000

_RATE = 8000
_PASS_HZ, _STOP_HZ = 3400.0, 4000.0  # the telephone band, and what 8 kHz can hold
_STOP_DB = 70.0  # of an ideal stop band; leaves 0.003 dB of ripple
_HALVES = 16_000  # from twice this rate on a short first filter divides the rate by a whole number
_ROW, _BLOCK, _COLUMNS = 64, 16_384, 16  # outputs in a row at least, in a block at most, in a product
_MOST_PHASES = 10_000  # the usual rates need 441; beyond it an hour drifts by less than 0.1 ms
_PIECE = 1 << 20


def checked_rate(rate: int) -> int:
    """A sampling rate in Hz, if it is one that the keypad can be heard at. Raises DtmfError."""
    try:
        rate = operator.index(rate)
    except TypeError:
        raise DtmfError(f"a sampling rate of {rate!r}; give a whole number of Hz") from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DtmfError(f"a sampling rate of {rate} Hz; it must be from {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    return rate


class Resampler:
    """Sound of one channel at ``rate`` Hz, made one at 8 kHz, in time with the original.

    Flat within 0.05 dB up to 3,400 Hz; what lies above 4 kHz is at least 60 dB down. At 8 kHz samples pass
    as they are. Raises DtmfError for rates that cannot be.
    """

    def __init__(self, rate: int) -> None:
        self._rate = checked_rate(rate)
        self._stages = [_Stage(kernel) for kernel in _kernels(rate)]
        self._taken = 0

    def feed(self, samples: npt.NDArray[np.int16] | Floats) -> npt.NDArray[np.int16] | Floats:
        """Take samples (n,), int16 or float32 in [-1, 1]; what is certain by now: float32 (m,)."""
        if not self._stages:
            return samples
        self._taken += len(samples)
        for stage in self._stages:
            samples = stage.feed(samples)
        return samples

    def flush(self) -> Floats:
        """The sound ended: the rest of it. In all, n samples become n * 8000 / rate, rounded up."""
        rest = np.zeros(0, np.float32)
        for stage in self._stages:
            count = math.ceil(self._taken * stage.kernel.ratio)
            if stage is self._stages[-1]:
                count = -(-self._taken * _RATE // self._rate)
            rest = np.concatenate([stage.feed(rest), stage.flush(count)])
        self._taken = 0
        return rest


def to_8k(samples: Floats, rate: int) -> Floats:
    """Samples (n,) of any rate in Hz at 8 kHz, in time with the original: a :class:`Resampler` in one call.

    Raises DtmfError for rates that cannot be.
    """
    resampler = Resampler(rate)
    if rate == _RATE:
        return samples
    pieces = [resampler.feed(samples[i : i + _PIECE]) for i in range(0, len(samples), _PIECE)]
    whole: Floats = np.concatenate([*pieces, resampler.flush()])
    return whole


class _Kernel:
    """The weights of one filter.

    ratio: outputs per input. A row of ``outputs`` needs the ``step`` inputs under it and ``reach`` more on
    either side. groups: of columns, each with the first input that it needs, counted from ``reach`` before
    the row, and weights (inputs, columns).
    """

    def __init__(self, rate: Fraction, ratio: Fraction, pass_hz: float, stop_hz: float) -> None:
        self.ratio = ratio
        # J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", 1974.
        half = (_STOP_DB - 7.95) / (14.36 * (stop_hz - pass_hz) / float(rate)) / 2
        beta = 0.1102 * (_STOP_DB - 8.7)
        cut = (pass_hz + stop_hz) / float(rate)  # of half the rate
        self.reach = math.ceil(half)
        periods = -(-_ROW // ratio.numerator)
        self.outputs, self.step = periods * ratio.numerator, periods * ratio.denominator
        self.rows = max(1, _BLOCK // self.outputs)
        self.groups: list[tuple[int, Floats]] = []
        for first in range(0, self.outputs, _COLUMNS):
            columns = np.arange(first, min(first + _COLUMNS, self.outputs))
            at = self.reach + columns * ratio.denominator / ratio.numerator
            begin, end = math.ceil(at[0] - half), math.floor(at[-1] + half) + 1
            off = np.arange(begin, end)[:, None] - at
            window = np.i0(beta * np.sqrt(np.maximum(1 - (off / half) ** 2, 0))) / np.i0(beta)
            weights = np.where(np.abs(off) <= half, cut * np.sinc(cut * off) * window, 0)
            self.groups.append((begin, np.ascontiguousarray(weights, np.float32)))


@functools.lru_cache(maxsize=16)
def _kernels(rate: int) -> tuple[_Kernel, ...]:
    """The filters from a rate to 8 kHz, in their order."""
    if rate == _RATE:
        return ()
    from fractions import Fraction

    if rate < _RATE:
        nyquist = rate / 2
        return (_Kernel(Fraction(rate), Fraction(_RATE, rate), 0.85 * nyquist, nyquist),)
    kernels, now = [], Fraction(rate)
    if rate >= 2 * _HALVES:
        now /= rate // _HALVES
        # What it lets through between 4 kHz and its stop band folds back above 4 kHz, to the next filter.
        kernels.append(_Kernel(Fraction(rate), now / rate, _PASS_HZ, float(now) - _STOP_HZ))
    kernels.append(_Kernel(now, (_RATE / now).limit_denominator(_MOST_PHASES), _PASS_HZ, _STOP_HZ))
    return tuple(kernels)


class _Stage:
    """One filter at work: inputs that are still needed, and how much came out."""

    def __init__(self, kernel: _Kernel) -> None:
        self.kernel = kernel
        self._start()

    def _start(self) -> None:
        self._kept = np.zeros(self.kernel.reach, np.float32)
        self._made = 0

    def feed(self, samples: npt.NDArray[np.int16] | Floats) -> Floats:
        kernel, kept = self.kernel, len(self._kept)
        inputs = np.empty(kept + len(samples), np.float32)
        inputs[:kept] = self._kept
        if samples.dtype == np.int16:
            np.multiply(samples, np.float32(1 / 32768), out=inputs[kept:])
        else:
            inputs[kept:] = samples
        used = kernel.rows * kernel.step
        blocks = max(0, len(inputs) - 2 * kernel.reach) // used
        if not blocks:
            self._kept = inputs
            return np.zeros(0, np.float32)
        made = np.empty((blocks * kernel.rows, kernel.outputs), np.float32)
        rows = np.empty((kernel.rows, kernel.step + 2 * kernel.reach), np.float32)
        under = np.lib.stride_tricks.sliding_window_view(inputs, rows.shape[1])[:: kernel.step]
        for block in range(blocks):
            first = block * kernel.rows
            rows[:] = under[first : first + kernel.rows]
            for group, (begin, weights) in enumerate(kernel.groups):
                column = group * _COLUMNS
                made[first : first + kernel.rows, column : column + weights.shape[1]] = (
                    rows[:, begin : begin + len(weights)] @ weights
                )
        self._kept = inputs[blocks * used :].copy()
        self._made += made.size
        return made.ravel()

    def flush(self, count: int) -> Floats:
        """What is left of ``count`` outputs in all, with silence after the end."""
        left = count - self._made
        parts = [np.zeros(0, np.float32)]
        while sum(map(len, parts)) < left:
            parts.append(self.feed(np.zeros(self.kernel.rows * self.kernel.step, np.float32)))
        self._start()
        return np.concatenate(parts)[:left]
