"""What the fault sweeps share: their world, their ways to break it, and the prompts of the recorded call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.internet import reactor

from ivr_sim.harness.tape import read_caller
from ivr_sim.media import Samples
from ivr_sim.node import open_library
from ivr_sim.prompts import Library

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"


@pytest.fixture(scope="session")
def world() -> ModuleType:
    return import_module(".world", __package__)


@pytest.fixture(scope="session")
def proxy() -> ModuleType:
    return import_module(".proxy", __package__)


@pytest.fixture(scope="session")
def approved() -> Samples:
    """A caller who pays: the recording of the whole call."""
    return read_caller(CALLS / "approved.wav")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder with rendered prompts."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def library(on_reactor: Callable[..., Any], data: Path) -> Iterator[Library]:
    library, voice = open_library(reactor, data)
    yield library
    on_reactor(voice.stop)
