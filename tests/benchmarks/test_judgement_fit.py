"""The fit of the judgement's weights: that it tells apart what can be told apart, on tiny material."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from dtmf import generate, impair, judgement
from dtmf.judgement import WEIGHTS


@pytest.fixture
def fit(benchmarks: None) -> ModuleType:
    import judgement_fit

    return judgement_fit


def noisy(seed: int) -> np.ndarray:
    return impair(generate("159D" * 4, tone_ms=60, gap_ms=60, lead_ms=60, tail_ms=80), seed=seed, snr_db=10)


def test_newton_finds_what_tells_two_clouds_apart(fit: ModuleType) -> None:
    rng = np.random.default_rng(5)
    clouds = rng.normal(size=(2, 400, len(WEIGHTS))) * 3
    clouds[1, :, 2] += 6
    clouds[:, :, 4] = 7  # tells nothing
    sources = [fit.Looks("no", "sound", clouds[0]), fit.Looks("yes", "must", clouds[1])]
    found = fit.fitted(sources)
    assert np.abs(found.weights).argmax() == 2
    assert found.weights[2] > 0
    assert abs(found.weights[4]) < 1e-9
    right = [(found.scores(looks) > 0) == looks.are_keys for looks in sources]
    assert np.concatenate(right).mean() > 0.75
    # A false key weighs more: the line is nearer to the keys.
    assert right[0].mean() > right[1].mean()


def test_every_look_is_seen_and_the_judge_left_as_it_was(fit: ModuleType) -> None:
    usual = judgement._is_key
    keys = fit.heard("noise", "must", [noisy(1)])
    refused = fit.heard("noise", "sound", [noisy(1)])
    assert keys.evidence.shape[1] == len(WEIGHTS)
    assert 0 < len(keys.evidence) < len(refused.evidence)
    assert np.isfinite(refused.evidence).all()
    assert fit.heard("nothing", "sound", []).evidence.shape == (0, len(WEIGHTS))
    assert judgement._is_key is usual


def test_the_script(
    fit: ModuleType, material: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "prepare", lambda _store, _name: None)
    sound = (noisy(2) * 32767).astype(np.int16)
    names = [name for name in map(str, range(40)) if material.half_of(name) == "tune"][:1]
    material.Store(tmp_path).write("prompts", [material.Piece(name, sound) for name in names], "")
    arguments = ["--cache", str(tmp_path), "--set", "prompts", "--row", "noise_accept", "--seed", "1"]
    told = CliRunner().invoke(fit.main, [*arguments, "--count", "2"])
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert [line.split('"')[1] for line in lines if line.startswith('    "')] == list(WEIGHTS)
    assert sum(line.endswith("  noise_accept") for line in lines) == 4
    assert sum("  prompts x " in line for line in lines) == 4
    none = CliRunner().invoke(fit.main, [*arguments[:-4], "--row", "freq_reject"])
    assert none.exit_code == 1
    assert "nothing to tell apart" in none.output
