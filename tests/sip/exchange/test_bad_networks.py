"""Calls on a network that loses, doubles and reorders: all of them are set up and torn down."""

from __future__ import annotations

import random

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.memory import MemoryReactor

HUB = Address("127.0.0.1", 5060)
CALLS = 25


class BadNetwork(MemoryReactor):
    """Loses and doubles datagrams, and delays each by its own time up to ``jitter``, by a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.loss = self.doubling = self.jitter = 0.0

    def carry(self, data, source, destination) -> None:
        self.sent.append((self.seconds(), source, destination, data))
        for _ in range(1 + (self.random.random() < self.doubling)):
            if self.random.random() >= self.loss:
                delay = self.latency + self.random.random() * self.jitter
                self.callLater(delay, self._deliver, data, source, destination)


@pytest.mark.parametrize("seed", range(2))
def test_all_calls_come_and_go(seed, new_exchange, new_phone):
    net = BadNetwork(seed)
    exchange = new_exchange(net)
    lines = [new_phone(name, 5080 + 2 * i, net=net) for i, name in enumerate(("line1", "line2", "line3"))]
    for phone in lines:
        assert phone.register().status == 200
    alice = new_phone("alice", 5070, net=net)
    net.loss, net.doubling, net.jitter = 0.12, 0.1, 0.1
    for _ in range(CALLS):
        client = alice.call()
        assert net.run(32, until=lambda client=client: any(r and r.status == 200 for r in client.answers))
        ok = next(r for r in client.answers if r.status == 200)
        client.answers.append(ok)
        acks = 0
        for _ in range(20):
            copies = sum(r is not None and r.status == 200 for r in client.answers) - 1
            for _ in range(copies - acks):
                alice.layer.send(alice.inside("ACK", client), HUB)
            acks = copies
            net.run(0.5)
        bye = alice.send(alice.inside("BYE", client))
        assert net.run(32, until=lambda bye=bye: bool(bye.answers))
        assert bye.answers[-1].status == 200
    net.loss = net.doubling = 0.0
    net.run(400)
    assert len(exchange._layer) == 0
    assert len(exchange._forwarder) == 0
    setups = [request for phone in lines for request in phone.requests if request.method == "INVITE"]
    assert len({request.call_id for request in setups}) == CALLS
    assert len({r.call_id for phone in lines for r in phone.requests if r.method == "ACK"}) == CALLS
    exchange.stop()
