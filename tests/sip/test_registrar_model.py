"""The registrar against a model of a few lines: whatever is registered, renewed, taken back or let expire."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ivr_sim.sip.address import Address
from ivr_sim.sip.digest import DigestGate, authorize
from ivr_sim.sip.message import BadMessage, Headers, Request
from ivr_sim.sip.registrar import Registrar

ACCOUNTS = {"alice": "secret-a", "bob": "secret-b"}
LIMIT = 3
SHORTEST, LONGEST, DEFAULT = 10, 600, 300

users = st.sampled_from(sorted(ACCOUNTS))
ports = st.integers(1, 5)
expiries = st.none() | st.sampled_from([0, 5, 10, 60, 600, 9999])


class RegistrarModel(RuleBasedStateMachine):
    """The model of a user: port -> (expires at, Call-ID, CSeq, source), the one renewed last at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = DigestGate("ivr.test", ACCOUNTS, b"k", nonce_age=1e9)
        self.registrar = Registrar(
            ACCOUNTS, self.gate, shortest=SHORTEST, longest=LONGEST, default=DEFAULT, max_contacts=LIMIT
        )
        self.now = 1000.0
        self.model: dict[str, dict[int, tuple[float, str, int, Address]]] = {user: {} for user in ACCOUNTS}

    def send(self, user, contacts, header, call_id, cseq, source, *, password=None):
        headers = Headers([
            ("From", f"<sip:{user}@ivr.test>;tag=f"), ("To", f"<sip:{user}@ivr.test>"), ("Call-ID", call_id),
            ("CSeq", f"{cseq} REGISTER"), *(("Contact", contact) for contact in contacts),
            *([] if header is None else [("Expires", str(header))]),
            ("Authorization", authorize(
                self.gate.challenges(self.now)[0], method="REGISTER", uri="sip:ivr.test", user=user,
                password=password or ACCOUNTS[user], cnonce="c")),
        ])  # fmt: skip
        return self.registrar.register(Request("REGISTER", "sip:ivr.test", headers), source, self.now)

    def live(self, user):
        return {port: entry for port, entry in self.model[user].items() if entry[0] > self.now}

    @rule(
        user=users,
        contacts=st.lists(st.tuples(ports, expiries), max_size=3, unique_by=lambda contact: contact[0]),
        header=expiries,
        call_id=st.sampled_from(["c1", "c2"]),
        cseq=st.integers(1, 6),
        source=st.builds(Address, st.just("192.0.2.1"), st.integers(1, 3)),
    )
    def register(self, user, contacts, header, call_id, cseq, source):
        default = DEFAULT if header is None else header
        asked = {port: default if own is None else own for port, own in contacts}
        texts = [f"<sip:{user}@h:{p}>" + ("" if own is None else f";expires={own}") for p, own in contacts]
        outcome = self.send(user, texts, header, call_id, cseq, source)
        bound = self.live(user)
        if any(0 < seconds < SHORTEST for seconds in asked.values()):
            assert outcome.status == 423
            return
        if any(p in bound and bound[p][1] == call_id and cseq <= bound[p][2] for p in asked):
            assert outcome.status == 500
            return
        assert outcome.status == 200
        for port, seconds in asked.items():
            bound.pop(port, None)
            if seconds:
                bound[port] = (self.now + min(seconds, LONGEST), call_id, cseq, source)
        self.model[user] = dict(list(bound.items())[-LIMIT:])

    @rule(user=users, header=st.none() | st.sampled_from([0, 60]), cseq=st.integers(1, 6), more=st.booleans())
    def star(self, user, header, cseq, more):
        bound = self.live(user)
        contacts = ["*", "<sip:x@h>"] if more else ["*"]
        sent = user, contacts, header, "c1", cseq, Address("192.0.2.1", 1)
        if header != 0 or more:
            with pytest.raises(BadMessage, match="400"):
                self.send(*sent)
            return
        outcome = self.send(*sent)
        if any(entry[1] == "c1" and cseq <= entry[2] for entry in bound.values()):
            assert outcome.status == 500
        else:
            assert (outcome.status, len(outcome.removed)) == (200, len(bound))
            self.model[user] = {}

    @rule(user=users)
    def ask(self, user):
        outcome = self.send(user, [], None, "c3", 1, Address("192.0.2.1", 1))
        assert (outcome.status, len(outcome.headers)) == (200, len(self.live(user)))

    @rule(user=users, port=ports)
    def guess(self, user, port):
        outcome = self.send(user, [f"<sip:x@h:{port}>"], None, "c4", 1, Address("9.9.9.9", 1), password="x")
        assert outcome.status == 403

    @precondition(lambda self: any(self.model.values()))
    @rule(user=users)
    def lose(self, user):
        assert len(self.registrar.remove(user, self.now)) == len(self.live(user))
        self.model[user] = {}

    @rule(seconds=st.sampled_from([1, 9, 61, 301, 700]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def agrees(self):
        for user in ACCOUNTS:
            bindings = self.registrar.lookup(user, self.now)
            found = [(b.contact.port, (b.expires, b.call_id, b.cseq, b.source)) for b in reversed(bindings)]
            assert found == list(self.live(user).items())


TestRegistrarModel = RegistrarModel.TestCase
TestRegistrarModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
