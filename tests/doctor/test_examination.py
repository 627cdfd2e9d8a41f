"""Which checks are made, and of what: with and without telephones in the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from ivr_sim.doctor import Check, examination, examine
from ivr_sim.doctor.network import Interface
from ivr_sim.doctor.self_call import SelfCall
from ivr_sim.settings import Settings

LAN_HOST = "192.168.1.5"
LOOPBACK = "127.0.0.1"


class Machine:
    """A machine in a network, on which calls end when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, Deferred[SelfCall]] = {}
        self.services: list[examination.sockets.Service] = []
        self.rtp: list[str] = []
        self.told: list[Check] = []
        self.over: list[Any] = []
        found = [Interface("lo", LOOPBACK), Interface("wlan0", LAN_HOST)]
        monkeypatch.setattr(examination.network, "interfaces", lambda: found)
        monkeypatch.setattr(examination, "local_host", lambda bound, peer: LAN_HOST)
        monkeypatch.setattr(examination, "beat", lambda reactor: succeed([0.0]))
        monkeypatch.setattr(examination, "voice", self.voice)
        monkeypatch.setattr(examination, "self_call", self.call)
        monkeypatch.setattr(examination.sockets, "service_port", self.port)
        monkeypatch.setattr(examination.sockets, "rtp_range", self.range)

    async def voice(self, reactor: Any, language: str) -> Check:
        return Check("voice", "ok", language)

    async def call(self, reactor: Any, settings: Settings, host: str) -> SelfCall:
        self.calls[host] = Deferred()
        return await self.calls[host]

    def port(self, service: examination.sockets.Service) -> Check:
        self.services.append(service)
        return Check(f"port {service.name}", "ok", "free")

    def range(self, host: str, first: int, last: int) -> Check:
        self.rtp.append(host)
        return Check("ports RTP", "ok", "free")

    def examine(self, settings: Settings, folder: Path) -> Deferred[None]:
        done = Deferred.fromCoroutine(examine(None, settings, folder, {}, self.told.append))
        return done.addBoth(self.over.append)

    def end(self, host: str) -> None:
        self.calls[host].callback(SelfCall(host, problem="the tests ended it"))


@pytest.fixture
def machine(monkeypatch) -> Machine:
    return Machine(monkeypatch)


def test_for_this_machine(machine, tmp_path):
    machine.examine(Settings(), tmp_path)
    assert machine.rtp == [LOOPBACK]
    assert [(s.name, s.host, s.port, s.explicit) for s in machine.services] == [
        ("SIP", LOOPBACK, 5060, False),
        ("authorizer", LOOPBACK, 8081, False),
        ("Openpay stand-in", LOOPBACK, 8082, False),
    ]
    assert list(machine.calls) == [LOOPBACK]
    machine.end(LOOPBACK)
    assert machine.over == [None]
    assert [machine.told[-1].name, machine.told[-1].state] == ["call to itself", "fail"]


def test_for_telephones_in_the_network(machine, tmp_path):
    settings = Settings(
        lan=True, sip_port=5070, authorizer_port=9001, openpay="https://sandbox-api.openpay.mx/v1"
    )
    machine.examine(settings, tmp_path)
    everywhere = "0.0.0.0"  # noqa: S104  as serve --lan listens
    assert machine.rtp == [everywhere]
    assert [(s.name, s.host, s.port, s.explicit) for s in machine.services] == [
        ("SIP", everywhere, 5070, True),
        ("authorizer", LOOPBACK, 9001, True),
    ]
    assert list(machine.calls) == [LOOPBACK, LAN_HOST]  # at the same time
    machine.end(LAN_HOST)
    assert machine.over == []
    machine.end(LOOPBACK)
    assert machine.over == [None]
    assert [check.name for check in machine.told[-2:]] == ["call to itself", "call by the LAN"]


def test_interrupted_all_calls_are_ended(machine, tmp_path):
    done = machine.examine(Settings(lan=True), tmp_path)
    done.cancel()
    assert all(call.called for call in machine.calls.values())
    [failure] = machine.over
    assert failure.check(CancelledError)
