"""Who may call: credentials asked for, and those of others."""

from __future__ import annotations

from ivr_sim.sip import digest
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import Admitted, Challenged, Refused

MALLORY = Address("127.0.0.1", 5099)
ACCOUNTS = {name: f"secret-{name}" for name in ("alice", "bob", "line1", "line2", "line3")}
LINES = ["line1", "line2", "line3"]


def test_calls_need_credentials_when_told_so(reactor, guarded, events, new_phone):
    line, alice = new_phone("line1", 5080), new_phone("alice", 5070)
    line.register()
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [407]
    assert client.answers[0].headers.get("Proxy-Authenticate").startswith('Digest realm="ivr.test"')
    ok = alice.ask(alice.request("INVITE", "sip:5000@ivr.test"))
    assert ok.status == 200
    there = {"method": "INVITE", "user": "alice", "source": Address("127.0.0.1", 5070)}
    assert Challenged(**there) in events
    assert Admitted(**there) in events
    assert "Proxy-Authorization" not in line.requests[0].headers
    line.server.acknowledged()
    assert line.ask(line.hung_up_by_line()).status == 200  # inside of the call nobody is asked again
    mallory = new_phone("mallory", 5099)
    asked = mallory.send(mallory.request("INVITE", "sip:5000@ivr.test"))
    reactor.run(1)
    name, value = digest.answer(asked.answers[0], method="INVITE", uri="sip:5000@ivr.test", user="alice",
                                password="guess", cnonce="c")  # fmt: skip
    assert mallory.ask(mallory.request("INVITE", "sip:5000@ivr.test", headers=[(name, value)])).status == 403
    assert events[-1] == Refused(
        method="INVITE", user="alice", account="mallory", source=MALLORY, status=403, cause="wrong_password"
    )


def test_foreign_credentials_pass_on(reactor, guarded, new_phone):
    line, alice = new_phone("line1", 5080), new_phone("alice", 5070)
    line.register()
    foreign = 'Digest realm="pbx", username="a", nonce="n", uri="u", response="r"'
    first = alice.request("INVITE", "sip:5000@ivr.test", headers=[("Proxy-Authorization", foreign)])
    asked = alice.send(first)
    reactor.run(1)
    name, value = digest.answer(asked.answers[0], method="INVITE", uri=first.uri, user="alice",
                                password=ACCOUNTS["alice"], cnonce="c")  # fmt: skip
    both = alice.request("INVITE", first.uri, headers=[(name, foreign), (name, value)])
    assert alice.ask(both).status == 200
    assert line.requests[0].headers.get_all("Proxy-Authorization") == [foreign]
    line.server.acknowledged()


def test_off_loopback_calls_always_need_credentials(reactor, new_phone):
    exchange = Exchange(reactor, host="192.0.2.1", port=5060, accounts=ACCOUNTS, lines=LINES)
    exchange.start()
    alice = new_phone("alice", 5070, hub=Address("192.0.2.1", 5060))
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [407]
    exchange.stop()
