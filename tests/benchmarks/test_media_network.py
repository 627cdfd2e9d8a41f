"""Keys through a bad network: a small version of what the benchmark counts."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.usefixtures("benchmarks")
def test_every_key_is_right_and_none_doubled(capsys, monkeypatch):
    import media_network

    monkeypatch.setattr(sys, "argv", ["media_network.py", "5", "--seed", "2"])
    assert media_network.main() == 0, capsys.readouterr().out
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(";")[0] for line in told] == [
        "rfc4733: 5 of 5 calls right",
        "inband: 5 of 5 calls right",
    ]
    assert "per call 0." not in told[0]  # packets were lost, or nothing was shown
