"""Telephones that are set up wrongly in one way each, and those that are all right, on real SIP and RTP.

Each produces exactly its plain sentence, and no other accusation. All are in use at once; each test looks
at one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ivr_sim.diagnosis import FINDINGS
from ivr_sim.journal import Finding

pytestmark = pytest.mark.sip

# By name: how the telephone is set up, and what is found of it: the code and the sentence.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "wrong-password": (
        {"password": "Tomavilune"},
        "wrong_password",
        r"127\.0\.0\.1 wants to register as wrong-password; the password is wrong\.",
    ),
    "wrong-user": (
        {"known": False},
        "unknown_user",
        r"127\.0\.0\.1 wants to register as wrong-user; there is no such account\.",
    ),
    "wrong-domain": (
        {"domain": "sip.example.com"},
        "wrong_domain",
        r"127\.0\.0\.1, as wrong-domain, wants to register at the domain sip\.example\.com; "
        r"here it is ivr\.test\.",
    ),
    "tls-only": (
        {"by": "tls"},
        "tls_only",
        r"127\.0\.0\.1 tries an encrypted connection \(TLS\) on port \d+; UDP and TCP are served\.",
    ),
    "srtp-only": (
        {"media": "srtp"},
        "srtp_only",
        r"The telephone of srtp-only offers encrypted audio only \(RTP/SAVP\); "
        r"plain RTP \(RTP/AVP\) is taken\.",
    ),
    "opus-only": (
        {"media": "opus"},
        "no_common_codec",
        r"The telephone of opus-only offers Opus; PCMU and PCMA are taken\.",
    ),
    "video-only": (
        {"media": "video"},
        "no_audio_offered",
        r"The telephone of video-only offers no audio: video\.",
    ),
    "absent-callee": (
        {"number": "nobody"},
        "nobody_there",
        r"absent-callee dials nobody, and no telephone is registered as that\.",
    ),
    "no-telephone-event": (
        {"media": "tones"},
        "no_telephone_event",
        r"The telephone offers no telephone-event \(RFC 4733\): keys can come as tones or by SIP INFO only\.",
    ),
    "other-address": (
        {"host": "192.0.2.55", "sends": None},
        "no_rtp_other_address",
        r"3 s after the answer, no audio has come from the telephone: it calls from 127\.0\.0\.1, and names "
        r"192\.0\.2\.55 for its audio\.",
    ),
    "mute": ({"sends": None}, "no_rtp", r"3 s after the answer, no audio has come from the telephone\."),
    "opus-anyway": (
        {"sends": "opus"},
        "rtp_unusable",
        r"\d+ packets have come in the 3 s since the answer, and none is PCMU audio\.",
    ),
    "never-acks": (
        {"acks": False},
        "no_ack",
        r"The telephone has not confirmed our answer in 4 s \(no ACK\); "
        r"the call is cut 32 s after the answer\.",
    ),
    "no-keys": (
        {"keys": ""},
        "no_keys",
        r"Audio comes from the telephone, and no key was heard when one was asked for\.",
    ),
    "short-keys": (
        {"key_ms": 22},
        "keys_too_short",
        r"[2-5] key tones were too short, 2\d( to 2\d)? ms; 40 ms are sure to be taken\.",
    ),
    "weak-keys": (
        {"level_dbm0": -54},
        "keys_too_weak",
        r"[2-5] key tones were too weak, -5\d dBm0\.",
    ),
    "twisted-keys": (
        {"twist_db": 10},
        "keys_twist",
        r"[2-5] key tones had too much twist: their high tone lies (9|10|11) dB from the low one\.",
    ),
}
GOOD: dict[str, dict[str, Any]] = {
    "good-tones": {},
    "good-events": {"events": True},
    "good-though-other-host": {"host": "192.0.2.56"},
}


@pytest.fixture(scope="module")
def stage(play: Callable[..., Any], setting: type, lines: dict[str, str]) -> Any:
    options = {name: wrong[0] for name, wrong in WRONG.items()} | GOOD
    for name, given in options.items():
        if "media" in given:
            options[name] = given | {"media": lines[given["media"]]}
    return play({name: setting(**given) for name, given in options.items()})


@pytest.mark.parametrize("name", WRONG)
def test_it_is_told_in_one_plain_sentence(stage: Any, name: str) -> None:
    _, code, sentence = WRONG[name]
    [found] = stage.findings(name) if name not in stage.knocks else by_code(stage, code)
    assert found.code == code
    assert re.fullmatch(sentence, found.what), found.what
    assert found.advice
    assert not re.search(r"[{}]", found.what + found.advice)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_telephone_is_not_accused(stage: Any, name: str) -> None:
    assert stage.findings(name) == []
    assert stage.entries(name) == ["1234"]
    assert stage.phones[name].statuses == [401, 200, 200]


def test_nothing_else_is_found(stage: Any) -> None:
    found = [r.event.code for r in stage.records if isinstance(r.event, Finding)]
    assert sorted(found) == sorted(code for _, code, _ in WRONG.values())
    assert set(found) <= set(FINDINGS)


def test_telephones_are_told_as_well(stage: Any) -> None:
    phones = stage.phones
    assert (phones["wrong-domain"].statuses, phones["wrong-domain"].reason) == (
        [403],
        "This exchange serves its own domain only",
    )
    assert phones["srtp-only"].statuses == [401, 200, 488]


def test_findings_of_a_call_carry_its_time(stage: Any) -> None:
    times = {type(r.event).__name__: r.t for r in stage.records if r.call == "call-mute"}
    assert times["CallAnswered"] < times["Finding"] < times["CallEnded"]


def by_code(stage: Any, code: str) -> list[Finding]:
    return [r.event for r in stage.records if isinstance(r.event, Finding) and r.event.code == code]
