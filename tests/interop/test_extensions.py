"""Calls of ours to a telephone that insists on PRACK and session timers, held and resumed by us."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.sip]


@pytest.fixture
def insistent(house: Any, kit: Any, report: Any) -> Iterator[list[str]]:
    """What such a pjsua2 has said so far; it is registered as ``two``."""
    if kit.clients["pjsua2"].missing is not None:
        report.row("pjsua2", "PRACK, session timers", "skipped", kit.clients["pjsua2"].missing)
        pytest.skip(kit.clients["pjsua2"].missing)
    script = Path(__file__).parent / "reliable_pjsua2.py"
    port = str(house.node.exchange.port)
    process = subprocess.Popen(
        [sys.executable, str(script), port, "two", house.node.accounts["two"]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said: list[str] = []
    assert process.stdout is not None
    output = process.stdout
    reader = threading.Thread(target=lambda: said.extend(line.strip() for line in output), daemon=True)
    reader.start()
    try:
        kit.until(lambda: "ready" in said, f"it is registered: {said}")
        yield said
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        output.close()


def test_prack_timers_and_holds_of_ours(
    house: Any, kit: Any, report: Any, insistent: list[str], on_reactor: Any
) -> None:
    features = ("ringing acknowledged by PRACK", "session timer agreed", "held and resumed by us")
    for feature in features:
        report.row("pjsua2", feature, "failed")
    agent = on_reactor(lambda: house.node.phone("one", on_call=None))
    on_reactor(agent.start)
    try:
        studio = import_module(".studio", __package__).Studio(None)
        session = on_reactor(lambda: agent.dial("two", studio))
        on_reactor(lambda: session.answered)
        assert insistent.count("PRACK") == 1
        report.row("pjsua2", features[0], "passed")
        assert session.refresh_interval == 90
        report.row("pjsua2", features[1], "passed", "90 s")
        for held, word in ((True, "held"), (False, "resumed")):
            on_reactor(lambda held=held: session.hold(held))
            kit.until(lambda word=word: word in insistent, f"{word}: {insistent}")
        report.row("pjsua2", features[2], "passed")
        on_reactor(session.hang_up)
        kit.until(lambda: any(line.startswith("ended") for line in insistent), f"it ends: {insistent}")
    finally:
        on_reactor(agent.stop)
