"""The receiver in every row of the acceptance table, over some seeds."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from dtmf.acceptance import Category, categories
from dtmf.acceptance.tape import doubled, record
from dtmf.grid import measured, own_receiver
from dtmf.standards import DEFAULT, PROFILES, Profile

SEEDS = (1, 2)  # `make soak` takes more
HEAR = {profile.name: own_receiver(profile) for profile in PROFILES.values()}

rows = pytest.mark.parametrize("category", [pytest.param(row, id=row.name) for row in categories()])
others = pytest.mark.parametrize(
    ("profile", "category"),
    [
        pytest.param(profile, row, id=f"{profile.name}-{row.name}")
        for profile in PROFILES.values()
        if profile is not DEFAULT
        for row in categories(profile)
    ],
)


@rows
def test_every_row(category: Category) -> None:
    row = measured(category, SEEDS, HEAR["default"])
    assert row.seconds > 0
    assert row.passed, f"{row.found} of {row.presses} found, {row.false} false, edges {row.edges_ms} ms"


@others
def test_the_rows_of_each_standard_by_its_own_profile(profile: Profile, category: Category) -> None:
    row = measured(category, [11], HEAR[profile.name])
    assert row.passed, f"{row.found} of {row.presses} found, {row.false} false, edges {row.edges_ms} ms"


@pytest.mark.parametrize(
    ("container", "coding", "rate", "tone_ms"),
    [
        ("WAV", "GSM610", 8000, 100),  # its frames of 20 ms blur edges
        ("WAV", "IMA_ADPCM", 8000, 50),
        ("WAV", "MS_ADPCM", 11_025, 50),
        ("AU", "G721_32", 8000, 50),
        ("WAV", "PCM_24", 44_100, 50),
        ("FLAC", "PCM_16", 48_000, 50),
        ("OGG", "VORBIS", 44_100, 60),
    ],
)
def test_codings_of_files(container: str, coding: str, rate: int, tone_ms: float) -> None:
    rng = np.random.default_rng(7)
    gaps = rng.uniform(50, 90, 64)
    tape = record(rng, doubled(rng, 2), tone_ms=tone_ms, gap_ms=gaps, low_dbm0=-13, high_dbm0=-12, rate=rate)
    file = io.BytesIO()
    soundfile.write(file, tape.sound, rate, subtype=coding, format=container)
    file.seek(0)
    samples, rate = soundfile.read(file, dtype="float32")
    heard = "".join(digit for digit, _, _ in HEAR["default"](samples, rate))
    assert heard == "".join(digit for digit, _, _ in tape.presses)
