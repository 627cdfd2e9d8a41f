"""The package's face: what it offers, and that each name comes from where it is defined."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dtmf


@pytest.mark.parametrize("name", dtmf.__all__)
def test_every_name_is_there_when_it_is_asked_for(name: str) -> None:
    homes = [home for home, names in dtmf._HOMES.items() if name in names]
    assert len(homes) == 1
    assert getattr(dtmf, name) is getattr(sys.modules[f"dtmf.{homes[0]}"], name)
    assert name in dir(dtmf)


def test_no_name_is_offered_by_a_module_alone() -> None:
    assert sorted(name for names in dtmf._HOMES.values() for name in names) == sorted(dtmf.__all__)


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'hang_up'"):
        _ = dtmf.hang_up


def test_every_name_by_a_star() -> None:
    code = "from dtmf import *; print(len(impair(generate('5', tail_ms=30), snr_db=20)) > 0, Receiver)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.strip() == "True <class 'dtmf.receiver.Receiver'>"
