"""The guard: floods, guesses, phones behind one NAT, and how little it remembers."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.guard import Ban, Guard

SCANNER = Address("203.0.113.7", 5555)
PHONE = Address("203.0.113.7", 40_001)  # behind the same NAT
OTHER = Address("198.51.100.4", 5060)


@pytest.fixture
def bans() -> list[Ban]:
    return []


@pytest.fixture
def guard(bans) -> Guard:
    made = Guard(rate=10, burst=20, failures=5, recovery=10, ban=60, longest=300, sources=100)
    made.on_ban = bans.append
    return made


def guess(guard: Guard, source: Address, now: float, times: int = 6) -> None:
    for _ in range(times):
        guard.failed(source, "wrong_password", now)


def test_what_is_above_the_rate_is_dropped_and_the_source_is_heard_again(guard, bans):
    assert [guard.admits(SCANNER, 0.0) for _ in range(22)] == [True] * 20 + [False] * 2
    assert guard.admits(OTHER, 0.0)
    assert not guard.admits(SCANNER, 0.1)
    assert [guard.admits(SCANNER, 1.0) for _ in range(7)] == [True] * 7
    assert bans == []


def test_who_goes_on_regardless_is_banned(guard, bans):
    for _ in range(41):
        guard.admits(SCANNER, 5.0)
    assert bans == [Ban("203.0.113.7", "flood", 65.0)]
    assert not guard.admits(SCANNER, 64.9)
    assert not guard.admits(Address("203.0.113.7", 6000, "TCP"), 64.9)  # the host, by whatever port
    assert guard.admits(OTHER, 64.9)
    assert guard.lift(64.9) == []
    assert guard.lift(65.0) == bans
    assert guard.lift(65.0) == []
    assert guard.admits(SCANNER, 65.0)


def test_guesses_are_counted_and_forgiven_with_time(guard, bans):
    for n in range(100):
        guess(guard, SCANNER, n * 10.0, times=1)
    assert bans == []
    guess(guard, SCANNER, 1000.0)
    assert bans == [Ban("203.0.113.7", "wrong_password", 1060.0)]


def test_what_weighs_more_ends_sooner(guard, bans):
    guard.failed(SCANNER, "unknown_user", 0.0, cost=3)
    assert bans == []
    guard.failed(SCANNER, "unknown_user", 0.0, cost=3)
    assert len(bans) == 1


def test_each_further_ban_is_twice_as_long(guard, bans):
    now = 0.0
    for _ in range(5):
        guess(guard, SCANNER, now)
        now = bans[-1].until + 1
        guard.lift(now)
    began = [0, 61, 182, 423, 724]
    assert [ban.until - at for ban, at in zip(bans, began, strict=True)] == [60, 120, 240, 300, 300]
    guess(guard, SCANNER, now + 301)  # quiet for longer than the longest ban
    assert bans[-1].until == now + 361


def test_during_a_ban_nothing_more_happens(guard, bans):
    guess(guard, SCANNER, 0.0)
    guess(guard, SCANNER, 1.0, times=50)
    for _ in range(200):
        assert not guard.admits(SCANNER, 2.0)
    assert len(bans) == 1
    assert guard.next_end() == 60.0


def test_a_registered_phone_is_heard_while_its_neighbour_is_banned(guard, bans):
    guard.trust(PHONE, 3600.0)
    guess(guard, SCANNER, 0.0)
    assert not guard.admits(SCANNER, 1.0)
    assert guard.admits(PHONE, 1.0)
    guard.distrust(PHONE)
    assert not guard.admits(PHONE, 1.0)


def test_trust_ends_with_the_registration(guard, bans):
    guard.trust(PHONE, 30.0)
    guess(guard, SCANNER, 0.0)
    assert [guard.admits(PHONE, t) for t in (29.0, 30.0)] == [True, False]


def test_a_registered_phone_that_floods_is_slowed_down_but_never_banned(guard, bans):
    guard.trust(PHONE, 3600.0)
    assert sum(guard.admits(PHONE, 0.0) for _ in range(500)) == 20
    assert bans == []
    assert guard.admits(SCANNER, 0.0)  # which has a bucket of its own
    assert guard.admits(PHONE, 10.0)


def test_a_registered_phone_that_guesses_loses_its_trust(guard, bans):
    guard.trust(PHONE, 3600.0)
    guess(guard, PHONE, 0.0)
    assert [ban.source for ban in bans] == ["203.0.113.7"]
    assert not guard.admits(PHONE, 1.0)


def test_a_phone_with_a_mistyped_password_is_never_banned(bans):
    """By the defaults, and while it asks without credentials first, for a day of a try every 30 seconds."""
    guard = Guard()
    guard.on_ban = bans.append
    for n in range(2880):
        assert guard.admits(PHONE, n * 30.0)
        assert guard.admits(PHONE, n * 30.0)
        guard.failed(PHONE, "wrong_password", n * 30.0)
    assert bans == []


def test_hosts_of_one_ipv6_network_are_one_source(guard, bans):
    for n in range(6):
        guard.failed(Address(f"2001:db8:1:2::{n:x}", 5060), "unknown_user", 0.0)
    assert [ban.source for ban in bans] == ["2001:db8:1:2::/64"]
    assert not guard.admits(Address("2001:db8:1:2:ffff::1", 1), 1.0)
    assert guard.admits(Address("2001:db8:1:3::1", 1), 1.0)
    assert guard.admits(Address("no.address:at-all", 1), 1.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "192.0.2.1"])
def test_this_machine_is_spared(guard, bans, host):
    guard.spare("192.0.2.1")
    source = Address(host, 5060)
    guess(guard, source, 0.0, times=100)
    assert all(guard.admits(source, 0.0) for _ in range(1000))
    assert bans == []


def test_loopback_can_be_counted_too(bans):
    guard = Guard(burst=5, loopback=True)
    assert [guard.admits(Address("127.0.0.1", 1), 0.0) for _ in range(6)] == [True] * 5 + [False]


def test_memory_is_bounded(guard):
    for n in range(5000):
        source = Address(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 5060)
        guard.admits(source, 0.0)
        guess(guard, source, 0.0)
        guard.trust(Address("192.0.2.9", n + 1), 100.0)
    for table in (guard._messages, guard._failures, guard._bans, guard._times, guard._trusted):
        assert len(table) <= 100
