"""Session timers: who refreshes, when, and when a call that nobody refreshes ends (RFC 4028)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ivr_sim.media import MediaEngine
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import BadMessage, Request, response_to
from ivr_sim.sip.session_timer import Interval
from ivr_sim.sip.user_agent import Ended, Session, SessionState, UserAgent


def request(*headers: tuple[str, str]) -> Request:
    made = Request("INVITE", "sip:ivr@127.0.0.1")
    for name, value in headers:
        made.headers.add(name, value)
    return made


TIMER = ("Supported", "100rel, timer")

# RFC 4028 table 2: (headers of the request, what we grant).
GRANTED = {
    "none is asked for": ([TIMER], None),
    "the caller is to refresh unless it says otherwise": (
        [TIMER, ("Session-Expires", "1800")],
        Interval(1800, "uac", required=True),
    ),
    "the caller wants to": (
        [TIMER, ("Session-Expires", "90 ; refresher=uac")],
        Interval(90, "uac", required=True),
    ),
    "the caller wants us to": ([("Require", "Timer"), ("x", "120;Refresher=UAS")], Interval(120, "uas")),
    "a proxy asked for it, and the caller cannot": ([("Session-Expires", "1800")], Interval(1800, "uas")),
    "nor is it told that this is too short": ([("Session-Expires", "30")], Interval(90, "uas")),
    "a day is long enough": ([TIMER, ("x", "999999999")], Interval(86_400, "uac", required=True)),
}


@pytest.mark.parametrize(("headers", "granted"), GRANTED.values(), ids=GRANTED)
def test_what_is_granted(headers: list[tuple[str, str]], granted: Interval | None) -> None:
    assert Interval.granted(request(*headers)) == granted


@pytest.mark.parametrize(
    ("value", "status"), [("89", 422), ("0", 422), ("-5", 400), ("soon", 400), ("", 400), ("9999999999", 400)]
)
def test_what_is_not(value: str, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        Interval.granted(request(TIMER, ("Session-Expires", value)))
    assert caught.value.status == status


@pytest.fixture
def engine(net: MemoryReactor) -> Iterator[MediaEngine]:
    """Sockets, but no ticks: the clock runs for minutes here."""
    made = MediaEngine(net)
    yield made
    made.stop()


def headers_of(message: Any) -> tuple[str | None, str | None]:
    return message.headers.get("Session-Expires"), message.headers.get("Require")


@pytest.fixture
def timed(
    net: MemoryReactor, peer: Any, place: Any, in_dialog: Any, offer: bytes, listener: Any
) -> Callable[..., tuple[Session, Any]]:
    """An answered call with these headers in its INVITE, and our 200."""

    def make(*extra: str) -> tuple[Session, Any]:
        session = place(offer, *extra)
        session.answer(listener())
        net.run(0.1)
        ok = peer.take(200)
        in_dialog("ACK", ok.to.tag)
        return session, ok

    return make


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_caller_refreshes_until_it_does_not(
    net: MemoryReactor, peer: Any, timed: Any, in_dialog: Any, outcome: Any, offer: bytes, method: str
) -> None:
    session, ok = timed("Supported: timer", "Session-Expires: 120")
    assert headers_of(ok) == ("120;refresher=uac", "timer")
    assert "UPDATE" in ok.headers.get_all("Allow")
    ended = outcome(session.ended)
    body = offer if method == "INVITE" else b""
    for number in range(2, 5):
        net.run(80)
        in_dialog(
            method,
            ok.to.tag,
            "Supported: timer",
            "Session-Expires: 120;refresher=uac",
            number=number,
            body=body,
        )
        refreshed = peer.take(200)
        assert (headers_of(refreshed), bool(refreshed.body)) == (headers_of(ok), method == "INVITE")
        assert refreshed.headers.get("Contact") == ok.headers.get("Contact")
        if method == "INVITE":
            in_dialog("ACK", ok.to.tag, number=number)
    assert session.state is SessionState.ANSWERED
    net.run(87)  # 120 s less 32
    assert ended == []
    net.run(2)
    assert ended == [Ended("local", None, "the session was not refreshed in time")]
    assert peer.take("BYE").call_id == session.call_id


def test_a_refresh_may_end_the_timer(net: MemoryReactor, peer: Any, timed: Any, in_dialog: Any) -> None:
    session, ok = timed("Supported: timer", "Session-Expires: 90")
    in_dialog("UPDATE", ok.to.tag, number=2)
    assert headers_of(peer.take(200)) == (None, None)
    net.run(300)
    assert session.state is SessionState.ANSWERED


def test_we_refresh_by_update_where_the_peer_takes_it(
    net: MemoryReactor, peer: Any, agent: UserAgent, timed: Any
) -> None:
    session, ok = timed("Supported: timer", "Session-Expires: 100;refresher=uas", "Allow: INVITE, UPDATE")
    assert headers_of(ok) == ("100;refresher=uas", None)
    for _ in range(3):
        assert net.run(51, until=lambda: peer.has("UPDATE"))
        update = peer.take("UPDATE")
        assert headers_of(update) == ("100;refresher=uac", None)
        assert (update.headers.get("Min-SE"), update.headers.get("Supported"), update.body) == (
            "90",
            "timer",
            b"",
        )
        answer = response_to(update, 200, headers=[("Session-Expires", "100;refresher=uac")])
        peer.send(answer, ("127.0.0.1", agent.port))
        net.run(0.1)
    assert session.state is SessionState.ANSWERED


def test_we_refresh_by_re_invite_where_it_does_not(
    net: MemoryReactor, peer: Any, agent: UserAgent, timed: Any, offer: bytes
) -> None:
    session, ok = timed("Supported: timer", "Session-Expires: 100;refresher=uas")
    first = ok.body.split(b"\r\n")[1]
    for _ in range(2):
        assert net.run(51, until=lambda: peer.has("INVITE"))
        invite = peer.take("INVITE")
        assert headers_of(invite) == ("100;refresher=uac", None)
        assert invite.body.split(b"\r\n")[1].split()[1] == first.split()[1]
        headers = [("Session-Expires", "100;refresher=uac"), ("Content-Type", "application/sdp")]
        peer.send(response_to(invite, 200, headers=headers, body=offer), ("127.0.0.1", agent.port))
        net.run(0.1)
        assert peer.take("ACK").cseq == (invite.cseq[0], "ACK")
    assert (session.state, session.codec) == (SessionState.ANSWERED, "PCMA")


@pytest.mark.parametrize(
    ("status", "then"),
    [(405, "INVITE"), (501, "INVITE"), (422, "UPDATE"), (481, "BYE"), (408, "BYE"), (503, None)],
)
def test_a_refresh_of_ours_that_is_refused(
    net: MemoryReactor, peer: Any, agent: UserAgent, timed: Any, status: int, then: str | None
) -> None:
    session, _ = timed("Supported: timer", "Session-Expires: 100;refresher=uas", "Allow: INVITE, UPDATE")
    assert net.run(51, until=lambda: peer.has("UPDATE"))
    refused = response_to(peer.take("UPDATE"), status, headers=[("Min-SE", "200")])
    peer.send(refused, ("127.0.0.1", agent.port))
    net.run(0.1)
    if then is not None:
        follows = peer.take(then)
        if status == 422:
            assert headers_of(follows) == ("200;refresher=uac", None)
    else:
        assert (peer.has("BYE"), session.state) == (False, SessionState.ANSWERED)
        net.run(20)  # to 100 s less 32
        assert peer.take("BYE").call_id == session.call_id


@pytest.mark.parametrize(("refresher", "ours"), [("uac", True), ("uas", False)])
def test_a_callee_that_asks_for_a_timer(
    net: MemoryReactor,
    peer: Any,
    dial: Any,
    answer_with: Any,
    outcome: Any,
    listener: Any,
    offer: bytes,
    refresher: str,
    ours: bool,
) -> None:
    session, invite = dial(listener())
    assert "timer" in invite.headers.get_all("Supported")
    more = [("Session-Expires", f"90;refresher={refresher}"), ("Require", "timer"), ("Allow", "UPDATE")]
    answer_with(invite, 200, *more, body=offer)
    ended = outcome(session.ended)
    net.run(46)
    assert peer.has("UPDATE") is ours
    net.run(20)
    assert ended == [Ended("local", None, "the session was not refreshed in time")]


@pytest.mark.parametrize("value", ["0", "1", "30"])
def test_a_callee_that_wants_us_to_refresh_all_the_time(
    net: MemoryReactor, peer: Any, dial: Any, answer_with: Any, listener: Any, offer: bytes, value: str
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 200, ("Session-Expires", f"{value};refresher=uac"), ("Allow", "UPDATE"), body=offer)
    net.run(40)
    assert not peer.has("UPDATE")
    assert (session.state, session.refresh_interval) == (SessionState.ANSWERED, 90)


def test_an_invite_with_too_short_a_timer(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, engine: Any
) -> None:
    to = ("127.0.0.1", agent.port)
    peer.request("INVITE", to, "Supported: timer", "Session-Expires: 60", body=offer)
    net.run(0.1)
    assert peer.take(422).headers.get("Min-SE") == "90"
    assert engine.streams == ()


def test_a_proxy_that_wants_a_longer_timer_gets_it(
    net: MemoryReactor, peer: Any, dial: Any, answer_with: Any, listener: Any, offer: bytes
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 422, ("Min-SE", "600"))
    peer.take("ACK")
    again = peer.take("INVITE")
    assert (again.headers.get("Session-Expires"), again.cseq[0]) == ("600;refresher=uas", 2)
    answer_with(again, 422, ("Min-SE", "600"))
    assert session.state is SessionState.ENDED
