"""What nobody wrote down: messages bent at random, by the thousand; the soak has a hundred thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.sip.message import BadMessage, Request, bad_request_reply, parse
from ivr_sim.sip.proxy import onward

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
MESSAGES = 1500


@pytest.fixture
def mutation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import mutation

    return mutation


def check(data: bytes) -> bool:
    """Whether a datagram is a message; it is, or is refused, and in no other way."""
    try:
        message = parse(data)
    except BadMessage as error:
        reply = bad_request_reply(data, error)
        assert reply is None or reply.startswith(b"SIP/2.0 %d " % error.status)  # noqa: PT017
        return False
    if message is None:
        return False
    wire = message.to_bytes()
    again = parse(wire)
    assert again == message
    assert again is not None
    assert again.to_bytes() == wire
    assert message.call_id
    assert message.vias
    assert message.cseq[0] < 2**31
    assert message.from_.uri.text
    assert message.to.uri.text
    if isinstance(message, Request):
        check_passed_on(message)
    return True


def check_passed_on(message: Request) -> None:
    """A proxy changes what it must of a request, and not a letter else."""
    try:
        passed = onward(message, message.uri, "<sip:us;lr>")
    except BadMessage as error:
        assert error.status == 483  # noqa: PT017
        return
    ours = ("max-forwards", "record-route", "route")
    kept = [(name, value) for name, value in passed.headers if name.lower() not in ours]
    assert kept == [(name, value) for name, value in message.headers if name.lower() not in ours]
    assert passed.body == message.body


def test_bent_messages_are_parsed_or_refused(mutation: ModuleType) -> None:
    mutator = mutation.Mutator(
        7, hub=("127.0.0.1", 5060), domain="fuzz.test", user="ana", messages=mutation.corpus()
    )
    taken = sum(check(mutator.sip()) for _ in range(MESSAGES))
    assert MESSAGES // 10 < taken < MESSAGES  # neither is all of it refused, nor is it all harmless


WIRE = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("rfc*/*.sip"))]


@given(st.sampled_from(WIRE), st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_messages_of_the_standards_bent_anywhere(base: bytes, data: st.DataObject) -> None:
    bent = bytearray(base)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(bent)))
        cut = data.draw(st.integers(0, 8))
        bent[at : at + cut] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\r\n", b'"', b"<", b",", b"\0"])
        )
    check(bytes(bent))


def test_a_house_survives_them(mutation: ModuleType, new_house: Any, unharmed: Any) -> None:
    house = new_house("fuzz.test")
    mutator = mutation.Mutator(
        8, hub=house.hub[:2], domain="fuzz.test", user="ana", messages=mutation.corpus()
    )
    with unharmed():
        for number in range(MESSAGES // 3):
            house.receive(mutator.sip(), house.phone if number % 3 == 0 else house.hub, seconds=0.002)
        house.good_call()
        house.net.run(80)  # what was left half done has been given up
        house.good_call()


@pytest.mark.sip
def test_processes_survive_real_datagrams() -> None:
    """A few hundred of what ``make soak`` sends a hundred thousand of."""
    options = ("--datagrams", "300", "--every", "300", "--settle", "0")
    command = [sys.executable, str(BENCHMARKS / "fuzz.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "held"
    assert "good calls: 2" in done.stdout
