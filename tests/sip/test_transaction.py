"""The transaction tables, iterated: RFC 3261 figures 5-8 with RFC 6026, and table 4's timers."""

from __future__ import annotations

import itertools
import re

import pytest

from ivr_sim.sip.message import parse
from ivr_sim.sip.transaction import TABLES, Machine, Timers, ack_for, cancel_for, event_of, server_key

TIMERS = Timers()


@pytest.mark.parametrize("kind", TABLES)
def test_every_state_is_reached_and_left(kind):
    table = TABLES[kind]
    reached = {row.state for row in table.values()} | {"initial"}
    assert {state for state, _ in table} == reached - {"terminated"}
    ends = {"terminated"}
    for _ in table:
        ends |= {state for (state, _), row in table.items() if row.state in ends}
    assert ends == reached, "a state from which there is no end"


@pytest.mark.parametrize("kind", TABLES)
def test_a_timer_that_runs_is_awaited_or_stopped(kind):
    """Follow every path: whenever a timer may fire, the state has a row for it; nothing fires in vain."""
    table = TABLES[kind]
    events = {event for _, event in table}
    seen = set()
    todo = [("initial", frozenset())]
    while todo:
        state, running = todo.pop()
        if (state, running) in seen or state == "terminated":
            continue
        seen.add((state, running))
        # X of a client is set by cancel, in proceeding.
        if kind == "client INVITE" and state == "proceeding":
            todo.append((state, running | {"X"}))
        assert all((state, timer) in table for timer in running), (state, running)
        for event in events:
            row = table.get((state, event))
            if row is None or (len(event) == 1 and event not in running):
                continue
            left = running - {event} - set(row.stop)
            todo.append((row.state, frozenset(left | set(row.start))))
    assert {state for state, _ in seen} == {state for state, _ in table}
    timers = {event for event in events if len(event) == 1}
    assert {timer for _, running in seen for timer in running} == timers


# Stories: event>state:done, where +2xx is "our user sends 2xx", and done is send, ack, pass, timeout.
STORIES = [
    ("client INVITE", "start>calling:S A>calling:S 1xx>proceeding:P 1xx>proceeding:P 2xx>accepted:P"),
    ("client INVITE", "start>calling:S 2xx>accepted:P 2xx>accepted:P 1xx>accepted: M>terminated:"),
    (
        "client INVITE",
        "start>calling:S 3xx-6xx>completed:AP 3xx-6xx>completed:A 2xx>completed: D>terminated:",
    ),
    ("client INVITE", "start>calling:S 1xx>proceeding:P 3xx-6xx>completed:AP"),
    ("client INVITE", "start>calling:S B>terminated:T 2xx>terminated:"),
    ("client INVITE", "start>calling:S 1xx>proceeding:P X>terminated:T"),
    ("client non-INVITE", "start>trying:S E>trying:S 1xx>proceeding:P E>proceeding:S 2xx>completed:P"),
    ("client non-INVITE", "start>trying:S 2xx>completed:P 2xx>completed: E>completed: K>terminated:"),
    ("client non-INVITE", "start>trying:S 3xx-6xx>completed:P 1xx>completed: K>terminated:"),
    ("client non-INVITE", "start>trying:S F>terminated:T"),
    ("client non-INVITE", "start>trying:S 1xx>proceeding:P F>terminated:T"),
    ("server INVITE", "start>proceeding:P request>proceeding:S +1xx>proceeding:S request>proceeding:S"),
    ("server INVITE", "start>proceeding:P +2xx>accepted:S request>accepted: +2xx>accepted:S ACK>accepted:P"),
    ("server INVITE", "start>proceeding:P +2xx>accepted:S +3xx-6xx>accepted: L>terminated:T"),
    ("server INVITE", "start>proceeding:P +3xx-6xx>completed:S request>completed:S G>completed:S"),
    ("server INVITE", "start>proceeding:P +3xx-6xx>completed:S +2xx>completed: H>terminated:T"),
    ("server INVITE", "start>proceeding:P +3xx-6xx>completed:S ACK>confirmed: G>confirmed: I>terminated:"),
    ("server non-INVITE", "start>trying:P request>trying: +1xx>proceeding:S request>proceeding:S"),
    (
        "server non-INVITE",
        "start>trying:P +2xx>completed:S request>completed:S +2xx>completed: J>terminated:",
    ),
    ("server non-INVITE", "start>trying:P +1xx>proceeding:S +3xx-6xx>completed:S"),
    ("server non-INVITE", "start>trying:P X>terminated: +2xx>terminated:"),
]


@pytest.mark.parametrize(("kind", "story"), STORIES)
def test_stories(kind, story):
    machine = Machine(kind, TIMERS)
    told = []
    for event in re.findall(r"(\S+)>", story):
        row = machine.step(event.replace("+", "send "))
        assert machine.state == row.state
        told.append(f"{event}>{row.state}:{''.join(action[0].upper() for action in row.do)}")
    assert " ".join(told) == story


# RFC 3261 table 4, over UDP, and the sequences of sections 17.1.1.2, 17.1.2.2, 17.2.1.
INTERVALS = {
    "A": [0.5, 1, 2, 4, 8, 16, 32],
    "E": [0.5, 1, 2, 4, 4, 4],
    "G": [0.5, 1, 2, 4, 4, 4],
    "B": [32], "D": [32], "F": [32], "H": [32], "J": [32], "L": [32], "M": [32], "X": [32],
    "I": [5], "K": [5],
}  # fmt: skip


@pytest.mark.parametrize("timer", INTERVALS)
def test_intervals(timer):
    machine = Machine("client INVITE", TIMERS)
    assert [machine.seconds(timer) for _ in INTERVALS[timer]] == INTERVALS[timer]
    assert set(INTERVALS) == {e for table in TABLES.values() for _, e in table if len(e) == 1}


def test_a_provisional_answer_slows_the_repeats():
    machine = Machine("client non-INVITE", TIMERS)
    machine.step("start")
    assert machine.seconds("E") == 0.5
    machine.step("1xx")
    assert machine.seconds("E") == 4


def test_events_of_statuses():
    assert [event_of(s) for s in (100, 199, 200, 299, 300, 699)] == [
        "1xx",
        "1xx",
        "2xx",
        "2xx",
        "3xx-6xx",
        "3xx-6xx",
    ]


def make(method="INVITE", branch="z9hG4bK1", host="h:5070", call_id="c", cseq=1, to="<sip:b@h>"):
    return parse(
        f"{method} sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch={branch}\r\nRoute: <sip:p;lr>\r\n"
        f"From: <sip:a@h>;tag=f\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\r\n".encode()
    )


def test_which_requests_are_the_same():
    invite = make()
    assert server_key(make()) == server_key(invite)
    assert server_key(make("ACK")) == server_key(invite)
    assert server_key(make("CANCEL"), "INVITE") == server_key(invite)
    others = [make(branch="z9hG4bK2"), make(host="h:5071"), make(host="g:5070"), make("CANCEL"), make("BYE")]
    keys = [server_key(m) for m in [invite, *others]]
    assert all(a != b for a, b in itertools.combinations(keys, 2))


@pytest.mark.parametrize("branch", ["1", "z9hG4bK"])
def test_branches_that_are_not_unique(branch):
    """RFC 2543 clients, and RFC 4475's badbranch: the rest of the message must tell them apart."""
    invite = make(branch=branch)
    assert server_key(make(branch=branch)) == server_key(invite)
    assert server_key(make("ACK", branch=branch, to="<sip:b@h>;tag=t")) == server_key(invite)
    assert server_key(make("CANCEL", branch=branch), "INVITE") == server_key(invite)
    assert server_key(make(branch=branch, call_id="d")) != server_key(invite)
    assert server_key(make(branch=branch, cseq=2)) != server_key(invite)


def test_companions_of_a_request():
    invite = make()
    refusal = parse(
        b"SIP/2.0 486 Busy\r\nVia: SIP/2.0/UDP h:5070;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=f\r\n"
        b"To: <sip:b@h>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    for companion, to in ((ack_for(invite, refusal), "t"), (cancel_for(invite), None)):
        assert companion.uri == invite.uri
        assert str(companion.top_via) == str(invite.top_via)
        assert companion.headers.get_all("Route") == ["<sip:p;lr>"]
        assert companion.to.tag == to
        assert companion.cseq == (1, companion.method)
        assert parse(companion.to_bytes()) == companion


@pytest.mark.parametrize(("timer", "udp", "tcp"), [
    ("A", 0.5, None), ("E", 0.5, None), ("G", 0.5, None), ("D", 32.0, 0.0), ("I", 5.0, 0.0), ("J", 32.0, 0.0),
    ("K", 5.0, 0.0), ("B", 32.0, 32.0), ("F", 32.0, 32.0), ("H", 32.0, 32.0), ("L", 32.0, 32.0),
])  # fmt: skip
def test_timers_where_nothing_is_lost(timer, udp, tcp):
    """RFC 3261 table 4, both columns."""
    assert Machine("client INVITE", TIMERS).seconds(timer) == udp
    assert Machine("client INVITE", TIMERS, reliable=True).seconds(timer) == tcp
