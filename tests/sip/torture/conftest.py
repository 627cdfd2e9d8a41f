"""A house in memory that gets one odd message: an exchange, an IVR line that is a phone, and a caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from ivr_sim.media import MediaEngine
from ivr_sim.sip import digest
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import ExchangeEvent
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import BadMessage, Message, Request, Response, parse
from ivr_sim.sip.states import SessionState
from ivr_sim.sip.user_agent import Session, UserAgent

STRANGER = Address("192.0.2.77", 5060)
EXCHANGE = Address("127.0.0.1", 5080)


class House:
    """One exchange with one line, which takes calls from the caller and rejects strangers' with 603.

    domain: of the exchange. more_users: accounts beside those of line and caller, password ``secret-USER``.
    """

    def __init__(
        self,
        net: MemoryReactor,
        new_agent: Callable[..., UserAgent],
        listener: Any,
        domain: str,
        more_users: tuple[str, ...],
    ) -> None:
        self.net = net
        self.domain = domain
        self.events: list[ExchangeEvent] = []
        self.strangers: list[Session] = []
        self._listener = listener
        users = ("ivr", "ana", *more_users)
        self.exchange = Exchange(
            net,
            host=EXCHANGE[0],
            port=EXCHANGE[1],
            domain=domain,
            accounts={user: f"secret-{user}" for user in users},
            lines=["ivr"],
            on_event=self.events.append,
        )
        self.exchange.start()
        self.line = new_agent("ivr", server=EXCHANGE, on_call=self._rings)
        self.caller = new_agent("ana", server=EXCHANGE)
        self.calls = 0
        for agent in (self.line, self.caller):
            agent.start()
        net.run(0.1)
        assert self.line.registered
        assert self.caller.registered

    @property
    def phone(self) -> Address:
        """Where the line listens."""
        return Address("127.0.0.1", self.line.port)

    @property
    def hub(self) -> Address:
        """Where the exchange listens."""
        return EXCHANGE

    def _rings(self, session: Session) -> None:
        if session.caller == "ana":
            session.answer(self._listener())
        else:
            self.strangers.append(session)
            session.reject(603)

    def receive(self, data: bytes, at: Address, *, seconds: float = 0.4) -> list[Message]:
        """Deliver a datagram of a stranger's; what went back to it, repetitions and 100 left out."""
        begin = len(self.net.sent)
        self.net.inject(data, STRANGER, at)
        self.net.run(seconds)
        replies: list[bytes] = []
        for _, source, destination, sent in self.net.sent[begin:]:
            if source == at and destination[0] == STRANGER[0] and sent not in replies:
                replies.append(sent)
        parsed = [_read(reply) for reply in replies]
        return [m for m in parsed if not (isinstance(m, Response) and m.status in (100, 180))]

    def final(self, data: bytes, at: Address, *, seconds: float = 0.4) -> Response | None:
        """The one final answer to a stranger's datagram; None when nothing went back."""
        replies = self.receive(data, at, seconds=seconds)
        assert len(replies) <= 1, [r.start_line for r in replies]
        if not replies:
            return None
        assert isinstance(replies[0], Response)
        return replies[0]

    def with_credentials(self, data: bytes, refusal: Response) -> bytes:
        """The same request, authorised for the user that its To names, with the next number."""
        request = parse(data)
        assert isinstance(request, Request)
        user = request.to.uri.user or ""
        name, value = digest.answer(
            refusal, method=request.method, uri=request.uri, user=user, password=f"secret-{user}", cnonce="c"
        )
        head, _, body = data.partition(b"\r\n\r\n")
        line = f"\r\n{name}: {value}".encode("utf-8", "surrogateescape")
        head = head.replace(b"branch=z9hG4bK", b"branch=z9hG4bK-again-", 1)
        return head + line + b"\r\n\r\n" + body

    def good_call(self) -> None:
        """A call through the exchange that is answered, goes on for a while, and is hung up."""
        session = self.caller.dial("5000", self._listener())
        self.net.run(1, until=lambda: session.state is SessionState.ANSWERED)
        assert session.state is SessionState.ANSWERED
        self.net.run(0.1)
        session.hang_up()
        self.net.run(1, until=lambda: not self.line.sessions)
        assert not self.line.sessions
        assert session.state is SessionState.ENDED
        self.calls += 1


def _read(data: bytes) -> Message:
    """A message; of a refusal that echoes what could not be parsed, its status alone."""
    try:
        message = parse(data)
        assert message is not None
        return message
    except BadMessage:
        _, status, reason = data.split(b"\r\n")[0].decode().split(" ", 2)
        return Response(int(status), reason)


@pytest.fixture
def engine(net: MemoryReactor) -> Iterator[MediaEngine]:
    """As everywhere, but for a handful of calls: there are many houses here."""
    made = MediaEngine(net, max_streams=16)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def new_house(
    net: MemoryReactor, new_agent: Callable[..., UserAgent], listener: Any
) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(domain: str = "example.com", *more_users: str) -> House:
        house = House(net, new_agent, listener, domain, more_users)
        made.append(house)
        return house

    yield make
    for house in made:
        house.exchange.stop()


@pytest.fixture
def unharmed() -> Callable[[], Any]:
    """A context in which nothing may be logged as an error."""

    @contextmanager
    def check() -> Iterator[None]:
        with structlog.testing.capture_logs() as logs:
            yield
        assert [entry for entry in logs if entry["log_level"] in ("error", "critical")] == []

    return check
