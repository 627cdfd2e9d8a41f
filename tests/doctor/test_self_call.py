"""The call to itself, whole and where it cannot be; what was heard of a prompt; what it all means."""

from __future__ import annotations

import gc
import socket
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor

from ivr_sim.doctor.self_call import PIECE, SelfCall, heard_share, self_call, verdict
from ivr_sim.settings import Settings

HERE = "127.0.0.1"
GOOD = SelfCall(
    HERE,
    answered=True,
    heard=1.0,
    keys={"inband": (2, 2), "info": (2, 2), "rfc4733": (3, 3)},
    authorizer="ok",
    hung_up=True,
)


def call(on_reactor: Any, settings: Settings, host: str = HERE) -> SelfCall:
    return on_reactor(self_call, reactor, settings, host, seconds=40)  # type: ignore[no-any-return]


@pytest.mark.sip
def test_a_whole_call(on_reactor, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = call(on_reactor, Settings())
    assert made == replace(GOOD, heard=made.heard, keys={**GOOD.keys, "rfc4733": made.keys["rfc4733"]})
    sent, came = made.keys["rfc4733"]
    assert sent == came > 0
    assert made.heard >= 0.5
    assert not list(tmp_path.iterdir())


def even_port() -> socket.socket:
    """A socket on an even port, behind which the next even one is free."""
    while True:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind((HERE, 0))
        port = first.getsockname()[1]
        if port % 2 == 0 and port < 65_000:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
                try:
                    second.bind((HERE, port + 2))
                except OSError:
                    first.close()
                    continue
            return first
        first.close()


@pytest.mark.sip
@pytest.mark.parametrize(
    ("width", "problem"), [(0, "no UDP port free on 127.0.0.1"), (2, "the call was refused: 486")]
)
def test_too_few_ports(on_reactor, width, problem):
    """None for the telephone; or none for the IVR, since the telephone has the only one."""
    with even_port() as taken:
        port = taken.getsockname()[1]
        made = call(on_reactor, Settings(rtp_first=port, rtp_last=port + width))
    assert not made.answered
    assert problem in made.problem
    check = verdict(made)
    assert (check.name, check.state, problem in check.what) == ("call to itself", "fail", True)


@pytest.mark.sip
def test_an_address_of_somebody_else(on_reactor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Twisted leaves the socket that it could not bind
        made = call(on_reactor, Settings(), "203.0.113.9")
        gc.collect()
    check = verdict(made)
    assert (check.name, check.state) == ("call by the LAN", "fail")
    assert "203.0.113.9" in made.problem


@pytest.mark.sip
def test_a_language_that_nobody_wrote(on_reactor):
    assert "known are en-US, es-MX" in call(on_reactor, Settings(language="fr-FR")).problem


@pytest.mark.parametrize(
    ("change", "state", "what"),
    [
        ({}, "ok", "100% of the welcome heard, keys by tones, SIP INFO, RFC 4733, authorizer asked, hung up"),
        ({"heard": 0.8}, "warn", "80% of the welcome came to the telephone"),
        ({"heard": 0.2}, "fail", "20% of the welcome"),
        ({"heard": 0.8, "authorizer": None}, "fail", "asked in vain (no reply)"),
        ({"keys": {"inband": (2, 1), "info": (2, 2)}}, "fail", "1 of 2 keys by tones came to the IVR"),
        ({"authorizer": "timeout"}, "fail", "asked in vain (timeout)"),
        ({"hung_up": False, "problem": "the IVR did not notice"}, "fail", "the IVR did not notice"),
        ({"answered": False, "problem": "no answer"}, "fail", "on 127.0.0.1: no answer"),
        ({"heard": 0.0, "keys": {}, "problem": "x", "authorizer": None}, "fail", "0% of the welcome"),
    ],
)
def test_verdicts(change, state, what):
    check = verdict(replace(GOOD, **change))
    assert (check.state, what in check.what) == (state, True), check
    assert bool(check.advice) == (state != "ok")


def test_a_call_by_the_lan_does_not_vouch_for_the_firewall():
    check = verdict(replace(GOOD, host="192.168.1.5"))
    assert (check.name, check.state) == ("call by the LAN", "ok")
    assert check.what.endswith("whether others get in, is for the firewall to say")


def speech(pieces: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 3000, pieces * PIECE)
    return noise.astype(np.int16)


def test_what_was_heard():
    said = speech(8)
    silence = np.zeros(3 * PIECE, np.int16)
    assert heard_share(np.concatenate([silence, said, silence]), said) == 1.0
    assert heard_share((said // 4).astype(np.int16), said) == 1.0  # softer is heard all the same
    assert heard_share(said[: 4 * PIECE], said) == 0.5
    assert heard_share(speech(20, seed=2), said) == 0.0
    assert heard_share(np.zeros(9 * PIECE, np.int16), said) == 0.0
    assert heard_share(np.zeros(0, np.int16), said) == 0.0
    assert heard_share(said, np.zeros(0, np.int16)) == 0.0
    late = np.concatenate([said[: 2 * PIECE], silence, said[2 * PIECE :]])  # a gap, at the edge of pieces
    assert heard_share(late, said) == 1.0


def test_pauses_of_a_prompt_do_not_count():
    said = np.concatenate([speech(2), np.zeros(2 * PIECE, np.int16)])
    assert heard_share(speech(2), said) == 1.0
