"""A telephone that we did not write, by other ways than UDP over IPv4: over a connection, and over IPv6."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor

from ivr_sim.media import FRAME_SAMPLES, MediaEngine, Samples
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import Registered
from ivr_sim.sip.transport import is_of_this_machine
from ivr_sim.sip.user_agent import Session, UserAgent

pytestmark = [pytest.mark.interop, pytest.mark.sip]

ACCOUNTS = {"ivr": "secret-ivr", "ana": "secret-ana"}
LOUD = 1000


class Ear:
    """Says a constant level; counts the frames in which it hears something, and keeps the keys."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.loud = 0
        self.keys = ""

    def tick(self, heard: Samples) -> Samples:
        self.loud += int(np.abs(heard.astype(np.int32)).max() > LOUD)
        return np.full(FRAME_SAMPLES, LOUD, np.int16)

    def key_down(self, *_: object) -> None:
        """The key counts when it is let go."""

    def key_up(self, digit: str, *_: object) -> None:
        self.keys += digit


class Desk:
    """An exchange and a line on one address."""

    def __init__(self, host: str) -> None:
        self.events: list[Any] = []
        self.calls: list[Ear] = []
        self.exchange = Exchange(
            reactor, host=host, accounts=ACCOUNTS, lines=["ivr"], on_event=self.events.append
        )
        self._engine = MediaEngine(reactor, host=host)
        self._host = host

    async def start(self) -> None:
        self.exchange.start()
        self._engine.start()
        hub = Address(self._host, self.exchange.port)
        self._line = UserAgent(
            reactor, self._engine, server=hub, username="ivr", password=ACCOUNTS["ivr"], host=self._host,
            on_call=self._take,
        )  # fmt: skip
        await self._line.start()

    async def stop(self) -> None:
        await self._line.stop()
        self._engine.stop()
        await self.exchange.stop()

    def _take(self, session: Session) -> None:
        self.calls.append(Ear(session))
        session.answer(self.calls[-1])


@pytest.fixture
def new_desk(on_reactor: Any) -> Iterator[Callable[[str], Desk]]:
    made: list[Desk] = []

    def make(host: str) -> Desk:
        desk = on_reactor(Desk, host)
        made.append(desk)
        on_reactor(desk.start)
        return desk

    yield make
    for desk in made:
        on_reactor(desk.stop)


@pytest.mark.parametrize(
    ("way", "host", "server", "transport", "by"),
    [
        ("TCP", "127.0.0.1", "127.0.0.1:{port};transport=tcp", "TCP", "local"),
        ("IPv6", "::1", "[::1]:{port}", "UDP", "remote"),
        ("IPv6 and TCP", "::1", "[::1]:{port};transport=tcp", "TCP", "remote"),
    ],
)
def test_linphonec(new_desk: Any, kit: Any, report: Any, tmp_path: Any, on_reactor: Any,
                   way: str, host: str, server: str, transport: str, by: str) -> None:  # fmt: skip
    client = kit.clients["linphonec"]
    feature = f"call by {way}: audio, a key, hang-up by {'the IVR' if by == 'local' else 'the caller'}"
    missing = client.missing or (None if is_of_this_machine(host) else f"this machine has no {host}")
    if missing is not None:
        report.row(client.name, feature, "skipped", missing)
        pytest.skip(missing)
    report.row(client.name, feature, "failed")
    desk = new_desk(host)
    phone = kit.Softphone(client, server.format(port=desk.exchange.port), "ana", ACCOUNTS["ana"])
    try:
        phone.wait_for("ready")
        phone.tell("dial 5000")
        phone.wait_for("answered")
        [ear] = kit.until(lambda: desk.calls, "the call")
        phone.tell(f"play {kit.write_tone(tmp_path / 'tone.wav', 2)}")
        kit.until(lambda: ear.loud >= 50, f"a second of the tone: {phone.output}")
        phone.tell("press 5")
        kit.until(lambda: ear.keys == "5", f"the key: {ear.keys}, {phone.output}")
        if by == "local":
            on_reactor(ear.session.hang_up)
        else:
            phone.tell("hangup")
        ended = on_reactor(lambda: ear.session.ended)
        assert (ended.by, ended.status) == (by, None)
        phone.wait_for("ended")
    finally:
        phone.close()
    [source] = {e.source[::2] for e in desk.events if isinstance(e, Registered) and e.user == "ana"}
    assert source == (host, transport)
    report.row(client.name, feature, "passed", f"{ear.loud} loud frames")
