"""A network in memory with a scripted peer, listeners that remember, and an exchange on the real reactor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred

from ivr_sim.media import FRAME_SAMPLES, MediaEngine, Samples
from ivr_sim.sip.address import Address
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Message, Request, Response, parse, response_to
from ivr_sim.sip.user_agent import Session, UserAgent

SERVER = Address("127.0.0.1", 5060)

OFFER = (
    b"v=0\r\no=them 5 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


class Listener:
    """Hears everything, says a constant level, and writes keys down."""

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self.heard: list[Samples] = []
        self.keys: list[tuple[str, str, int]] = []
        self.downs: list[str] = []

    def tick(self, heard: Samples) -> Samples | None:
        self.heard.append(heard)
        return np.full(FRAME_SAMPLES, self.level, np.int16) if self.level else None

    def key_down(self, digit: str, method: str, start: float) -> None:
        self.downs.append(digit)

    def key_up(
        self,
        digit: str,
        method: str,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        self.keys.append((digit, method, duration_ms))

    def loudest(self) -> int:
        """The highest level of what was heard."""
        return max((int(np.abs(frame.astype(np.int32)).max()) for frame in self.heard), default=0)


class Peer:
    """A SIP peer that does only what the test says, but for REGISTER, which it answers with 200."""

    def __init__(self, net: MemoryReactor, address: Address = SERVER) -> None:
        self.net = net
        self.address = address
        self.inbox: list[Message] = []
        self.registers: list[Request] = []
        self.on_register: Callable[[Request], Response | None] = lambda request: response_to(request, 200)
        self._port: Any = net.listenUDP(address[1], self, interface=address[0])
        self._branches = 0

    def makeConnection(self, transport: Any) -> None:  # noqa: N802
        self.transport = transport

    def doStop(self) -> None:  # noqa: N802
        pass

    def datagramReceived(self, data: bytes, source: tuple[str, int]) -> None:  # noqa: N802
        message = parse(data)
        assert message is not None
        if isinstance(message, Request) and message.method == "REGISTER":
            self.registers.append(message)
            answer = self.on_register(message)
            if answer is not None:
                self.send(answer, source)
        else:
            self.inbox.append(message)

    def send(self, message: Message, to: tuple[str, int]) -> None:
        self._port.write(message.to_bytes(), to)

    def take(self, what: str | int) -> Any:
        """The next request of this method, or response of this status, out of the inbox."""
        for message in self.inbox:
            if what == (message.method if isinstance(message, Request) else message.status):
                self.inbox.remove(message)
                return message
        seen = [m.start_line for m in self.inbox]
        raise AssertionError(f"no {what} came, but {seen}")

    def has(self, what: str | int) -> bool:
        """Whether such a message is in the inbox."""
        return any(what == (m.method if isinstance(m, Request) else m.status) for m in self.inbox)

    def request(
        self,
        method: str,
        to: tuple[str, int],
        *extra: str,
        number: int = 1,
        to_tag: str | None = None,
        call_id: str = "call-1",
        branch: str | None = None,
        body: bytes = b"",
        uri: str | None = None,
        contact: bool = True,
        dialled: str = "5000",
        from_tag: str = "them",
    ) -> Request:
        """Send a request of ours to a user agent; returns it."""
        self._branches += 1
        branch = branch or f"z9hG4bKp{self._branches}"
        head = [
            f"{method} {uri or f'sip:ivr@{to[0]}:{to[1]}'} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address[0]}:{self.address[1]};branch={branch}",
            "Max-Forwards: 70",
            f'From: "Ana" <sip:ana@ivr.test>;tag={from_tag}',
            f"To: <sip:{dialled}@ivr.test>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            *([f"Contact: <sip:ana@{self.address[0]}:{self.address[1]}>"] if contact else []),
            *extra,
        ]
        if body and not any(line.lower().startswith("content-type") for line in extra):
            head.append("Content-Type: application/sdp")
        data = "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body
        self._port.write(data, to)
        parsed = parse(data)
        assert isinstance(parsed, Request)
        return parsed

    def close(self) -> None:
        self._port.stopListening()


@pytest.fixture
def net() -> MemoryReactor:
    return MemoryReactor()


@pytest.fixture
def peer(net: MemoryReactor) -> Peer:
    return Peer(net)


@pytest.fixture
def engine(net: MemoryReactor) -> Iterator[MediaEngine]:
    """Real RTP sockets, ticked by the network's clock."""
    made = MediaEngine(net)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def listener() -> type[Listener]:
    return Listener


@pytest.fixture
def new_peer() -> type[Peer]:
    return Peer


@pytest.fixture
def offer() -> bytes:
    return OFFER


@pytest.fixture
def new_agent(net: MemoryReactor, engine: MediaEngine) -> Iterator[Callable[..., UserAgent]]:
    """Makes user agents in memory, stopped at the end; ``calls`` of each holds the sessions that rang."""
    made: list[UserAgent] = []

    def make(username: str = "ivr", *, server: tuple[str, int] = SERVER, **more: Any) -> UserAgent:
        calls: list[Session] = []
        options: dict[str, Any] = {"password": f"secret-{username}", "on_call": calls.append, **more}
        agent = UserAgent(net, engine, server=server, username=username, **options)
        agent.calls = calls  # type: ignore[attr-defined]
        made.append(agent)
        return agent

    yield make
    for agent in made:
        done = agent.stop()
        net.run(3)
        assert done.called


# --- the user agent's tests: each of these is one step of a protocol trace --------------------------------


def _outcome(deferred: Deferred[Any]) -> list[Any]:
    got: list[Any] = []
    deferred.addCallbacks(got.append, lambda failure: got.append(failure.value))
    return got


@pytest.fixture
def outcome() -> Callable[[Deferred[Any]], list[Any]]:
    """A list that will hold the result, or the exception."""
    return _outcome


@pytest.fixture
def started(net: MemoryReactor) -> Callable[[UserAgent], UserAgent]:
    """Starts a user agent."""

    def start(agent: UserAgent) -> UserAgent:
        ready = _outcome(agent.start())
        net.run(0.1)
        assert ready == [None]
        return agent

    return start


@pytest.fixture
def agent(peer: Peer, new_agent: Callable[..., UserAgent], started: Callable[..., UserAgent]) -> UserAgent:
    """One that is registered at the scripted peer."""
    return started(new_agent())


@pytest.fixture
def in_dialog(net: MemoryReactor, peer: Peer, agent: UserAgent) -> Callable[..., Request]:
    """The peer's request in a dialog, and a moment for its answer."""

    def request(method: str, tag: str, *extra: str, **more: Any) -> Request:
        sent = peer.request(method, ("127.0.0.1", agent.port), *extra, to_tag=tag, **more)
        net.run(0.1)
        return sent

    return request


@pytest.fixture
def place(net: MemoryReactor, peer: Peer, agent: UserAgent) -> Callable[..., Session]:
    """An INVITE of the peer's that rings."""

    def invite(offer: bytes, *extra: str, **more: Any) -> Session:
        peer.request("INVITE", ("127.0.0.1", agent.port), *extra, body=offer, **more)
        net.run(0.1)
        peer.take(180)
        session: Session = agent.calls[-1]  # type: ignore[attr-defined]
        return session

    return invite


@pytest.fixture
def talk(
    net: MemoryReactor, peer: Peer, place: Callable[..., Session], in_dialog: Callable[..., Request]
) -> Callable[..., tuple[Session, str]]:
    """An answered call, and the tag of our side."""

    def converse(offer: bytes, ear: Any, *extra: str, **more: Any) -> tuple[Session, str]:
        session = place(offer, *extra, **more)
        session.answer(ear)
        net.run(0.1)
        tag = str(peer.take(200).to.tag)
        in_dialog("ACK", tag, call_id=session.call_id)
        return session, tag

    return converse


@pytest.fixture
def dial(net: MemoryReactor, peer: Peer, agent: UserAgent) -> Callable[..., tuple[Session, Request]]:
    """A call of ours, and its INVITE as the peer has it."""

    def call(ear: Any, target: str = "5000") -> tuple[Session, Request]:
        session = agent.dial(target, ear)
        net.run(0.1)
        return session, peer.take("INVITE")

    return call


@pytest.fixture
def answer_with(net: MemoryReactor, peer: Peer, agent: UserAgent) -> Callable[..., None]:
    """The peer's response to a request of ours, and a moment for what follows."""

    def answer(
        request: Request, status: int, *extra: tuple[str, str], body: bytes = b"", tag: str = "them"
    ) -> None:
        headers = [("Contact", "<sip:line@127.0.0.1:5060>"), ("Server", "Line/2"), *extra]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        response = response_to(request, status, to_tag=tag, headers=headers, body=body)
        peer.send(response, ("127.0.0.1", agent.port))
        net.run(0.1)

    return answer


class Live:
    """An exchange, media and user agents on the real reactor, on loopback."""

    def __init__(self, on_reactor: Callable[..., Any]) -> None:
        from twisted.internet import reactor

        from ivr_sim.sip.exchange import Exchange

        self.reactor = reactor
        self.run = on_reactor
        users = ("ivr", "ana", "bob", "doc")
        self.exchange = Exchange(reactor, accounts={user: f"secret-{user}" for user in users}, lines=["ivr"])
        self.engine = MediaEngine(reactor)
        self._closing: list[Callable[[], Any]] = []
        self.run(self.exchange.start)
        self.run(self.engine.start)

    @property
    def server(self) -> Address:
        return Address("127.0.0.1", self.exchange.port)

    def agent(self, username: str, on_call: Callable[[Session], None] | None = None) -> UserAgent:
        """A user agent that is registered."""
        made = UserAgent(
            self.reactor,
            self.engine,
            server=self.server,
            username=username,
            password=f"secret-{username}",
            on_call=on_call,
        )
        self._closing.append(made.stop)
        self.run(made.start)
        return made

    def wait(self, session: Session, what: str, seconds: float = 12) -> Any:
        """The result of ``session.answered`` or ``session.ended``, which must come in time."""
        return self.run(lambda: getattr(session, what).addTimeout(seconds, self.reactor))

    def close(self) -> None:
        for close in self._closing:
            self.run(close)
        self.run(self.engine.stop)
        self.run(self.exchange.stop)


@pytest.fixture
def live(on_reactor: Callable[..., Any]) -> Iterator[Live]:
    made = Live(on_reactor)
    yield made
    made.close()
