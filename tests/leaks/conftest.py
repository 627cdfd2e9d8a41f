"""What the leak suite shares: its searcher, its ear, and the scene that it searches."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    full = f"leaks_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def searcher() -> ModuleType:
    return _load("searcher")


@pytest.fixture(scope="session")
def ear() -> ModuleType:
    return _load("ear")


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    return _load("scenes")


@pytest.fixture(scope="session")
def secrets(searcher: ModuleType, scenes: ModuleType) -> Any:
    """All that callers key in the scenes and that must not be found."""
    return searcher.Secrets(scenes.NUMBERS, (scenes.CODE, scenes.AMEX_CODE), (scenes.EXPIRY,))


@pytest.fixture(scope="session")
def search(searcher: ModuleType, secrets: Any) -> Callable[[Path], list[Any]]:
    """Searches a folder for the cards of the scenes."""
    return lambda folder: searcher.unique(searcher.Searcher(secrets).folder(folder))
