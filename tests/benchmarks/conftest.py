"""The benchmarks' modules, found as their scripts find them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their folder is on the path."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def material(benchmarks: None) -> ModuleType:
    import material

    return material


@pytest.fixture
def talkoff(benchmarks: None) -> ModuleType:
    import talkoff

    return talkoff
