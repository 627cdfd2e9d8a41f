"""The laws as ITU-T G.711 describes them; tests/media holds the tables against a reference, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.g711 import LAWS, decoded, encoded, there_and_back

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)


def coded(law, samples):
    return encoded(law)[samples.view(np.uint16)]


def test_known_bytes() -> None:
    # G.711 tables 1 and 2, their first and last lines: full scale, and the smallest of either sign.
    assert decoded("mulaw")[[0x80, 0x00, 0xFF, 0x7F, 0xFE, 0x7E]].tolist() == [32124, -32124, 0, 0, 8, -8]
    assert decoded("alaw")[[0xAA, 0x2A, 0xD5, 0x55]].tolist() == [32256, -32256, 8, -8]


@pytest.mark.parametrize("law", LAWS)
def test_no_sample_moves_by_more_than_half_a_step(law) -> None:
    # Sixteen steps to a segment that ends at twice its beginning; the laws drop the lowest 2 and 3 bits.
    size = np.abs(EVERY_SAMPLE.astype(int))
    half = (size + 132) / 32 + 4 if law == "mulaw" else np.maximum(size, 256) / 32 + 7
    away = np.abs(decoded(law)[coded(law, EVERY_SAMPLE)].astype(int) - EVERY_SAMPLE)
    assert (away <= half).all()


@pytest.mark.parametrize("law", LAWS)
def test_monotonous_and_stable(law) -> None:
    through = decoded(law)[coded(law, EVERY_SAMPLE)].astype(int)
    assert (np.diff(through) >= 0).all()
    assert (decoded(law)[coded(law, decoded(law))] == decoded(law)).all()


@pytest.mark.parametrize("law", LAWS)
def test_floats(law) -> None:
    samples = np.linspace(-1.5, 1.5, 10_001, dtype=np.float32)
    heard = there_and_back(samples, law)
    assert heard.dtype == np.float32
    assert np.abs(heard).max() <= 1
    assert np.abs(heard - np.clip(samples, -1, 1)).max() < 0.025
    assert (there_and_back(heard, law) == heard).all()


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decoded("mulaw")[0] = 1
