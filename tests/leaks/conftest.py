"""What the leak suite shares: its searcher, its ear, and the scene that it searches."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def searcher() -> ModuleType:
    return import_module(".searcher", __package__)


@pytest.fixture(scope="session")
def ear() -> ModuleType:
    return import_module(".ear", __package__)


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    return import_module(".scenes", __package__)


@pytest.fixture(scope="session")
def secrets(searcher: ModuleType, scenes: ModuleType) -> Any:
    """All that callers key in the scenes and that must not be found."""
    return searcher.Secrets(scenes.NUMBERS, (scenes.CODE, scenes.AMEX_CODE), (scenes.EXPIRY,))


@pytest.fixture(scope="session")
def search(searcher: ModuleType, secrets: Any) -> Callable[[Path], list[Any]]:
    """Searches a folder for the cards of the scenes."""
    return lambda folder: searcher.unique(searcher.Searcher(secrets).folder(folder))
