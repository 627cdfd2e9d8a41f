"""Telephone lines for the receiver: G.711 as the standard writes it down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Codec = Callable[[np.ndarray], np.ndarray]


def _mu_law(samples: np.ndarray) -> np.ndarray:
    """There and back through mu-law (ITU-T G.711, table 2): 8 segments of 16 steps, on 14 bits."""
    linear = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int64)
    size = np.minimum(np.abs(linear) // 4, 8158) + 33
    segment = np.floor(np.log2(size)).astype(np.int64) - 5
    step = 2 ** (segment + 1)
    decoded = (size // step) * step + step // 2 - 33
    return (np.sign(linear) * decoded * 4 / 32768).astype(np.float32)


def _a_law(samples: np.ndarray) -> np.ndarray:
    """There and back through A-law (ITU-T G.711, table 1): 13 segments of 16 steps, on 13 bits."""
    linear = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int64)
    size = np.minimum(np.abs(linear) // 8, 4095)
    segment = np.maximum(np.floor(np.log2(np.maximum(size, 1))).astype(np.int64) - 5, 0)
    step = 2 ** np.maximum(segment, 1)
    decoded = (size // step) * step + step // 2
    return (np.where(linear < 0, -1, 1) * decoded * 8 / 32768).astype(np.float32)


def _linear(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32)


@pytest.fixture(params=[_linear, _mu_law, _a_law], ids=["linear", "mu-law", "a-law"])
def codec(request: pytest.FixtureRequest) -> Codec:
    """Float samples through a line's coding and back."""
    codec: Codec = request.param
    return codec
