"""What doctor says of encrypted calls."""

from __future__ import annotations

import sys

import pytest

from ivr_sim.doctor.encryption import encryption
from ivr_sim.settings import Settings


@pytest.mark.parametrize(
    ("settings", "state", "what", "advice"),
    [
        (Settings(), "ok", "SIP over TLS off, encrypted audio (SRTP) off", ""),
        (Settings(tls_port=5061, srtp="required"), "ok", "SIP over TLS at port 5061", ""),
        (Settings(srtp="allowed"), "warn", "who reads it has the keys", "IVR_SIM_TLS_PORT=5061"),
        (
            Settings(tls_port=0, srtp="required", register_at="sip:5000@192.0.2.1"),
            "warn",
            "to the PBX",
            "--register sips:",
        ),
        (Settings(tls_port=0, srtp="required", register_at="sips:5000@192.0.2.1"), "ok", "required", ""),
    ],
)
def test_encryption(settings: Settings, state: str, what: str, advice: str) -> None:
    check = encryption(settings)
    assert (check.name, check.state) == ("encryption", state)
    assert what in check.what
    assert advice in check.advice


def test_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylibsrtp", None)
    assert encryption(Settings()).state == "ok"
    check = encryption(Settings(tls_port=0, srtp="allowed"))
    assert check.state == "fail"
    assert "ivr-sim[secure]" in check.advice
