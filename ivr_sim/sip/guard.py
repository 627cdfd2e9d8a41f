"""How much a source may ask of an exchange before it is not listened to any more, without I/O.

Two meters a source, each a bucket that fills with time: one of messages, one of failures (wrong passwords,
users that nobody knows, what is no SIP). Who empties the first is not heard until it has filled again; who
goes on regardless, or empties the second, is banned: for a minute, and twice as long each time after.

A source is a host (of IPv6 the /64), so that a scanner gains nothing by other ports. But many phones may
share one address behind NAT: an address and port that a phone has registered from is a source of its own,
which the ban of its host does not touch. And a phone with a mistyped password that tries every 30 s for ever
has its bucket filled faster than it empties it.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ivr_sim.sip.address import Address

__all__ = ["Ban", "Guard"]


@dataclass(frozen=True)
class Ban:
    """A source that is not listened to; until: on the clock that the guard is asked with."""

    source: str
    reason: str
    until: float


class _Meter:
    """Buckets by source, of which the least recently used are forgotten (and so full again)."""

    def __init__(self, size: float, per_second: float, sources: int) -> None:
        self.size = size
        self._per_second = per_second
        self._sources = sources
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: str, cost: float, now: float) -> float:
        """Take from a bucket; gives what is left, no less than minus its size."""
        left, since = self._buckets.pop(source, (self.size, now))
        left = min(self.size, left + (now - since) * self._per_second) - cost
        self._buckets[source] = max(left, -self.size), now
        if len(self._buckets) > self._sources:
            self._buckets.popitem(last=False)
        return left

    def forget(self, source: str) -> None:
        """Fill a bucket."""
        self._buckets.pop(source, None)


class Guard:
    """Who is listened to. Times are seconds of any steady clock.

    rate: messages a second, after ``burst`` at once. failures: how many at once, and one more every
    ``recovery`` seconds. ban: seconds, doubled for each further one up to ``longest``. sources: how many are
    remembered. loopback: whether this machine is a source too; it is not by default, as whoever is on it can
    do worse. ``on_ban`` hears of each ban.
    """

    def __init__(
        self,
        *,
        rate: float = 200.0,
        burst: int = 600,
        failures: int = 20,
        recovery: float = 10.0,
        ban: float = 60.0,
        longest: float = 3600.0,
        sources: int = 4096,
        loopback: bool = False,
    ) -> None:
        self.on_ban: Callable[[Ban], None] = lambda ban: None
        self._messages = _Meter(burst, rate, sources)
        self._failures = _Meter(failures, 1 / recovery, sources)
        self._shortest = ban
        self._longest = longest
        self._sources = sources
        self._loopback = loopback
        self._spared: set[str] = set()
        self._trusted: OrderedDict[Address, float] = OrderedDict()
        self._bans: OrderedDict[str, Ban] = OrderedDict()
        self._times: OrderedDict[str, tuple[int, float]] = OrderedDict()  # bans that it had, end of the last

    def spare(self, host: str) -> None:
        """Never count what comes from this host: an address of this machine."""
        self._spared.add(host)

    def trust(self, source: Address, until: float) -> None:
        """Somebody has shown the password there; the ban of his host does not touch him."""
        self._trusted[source] = until
        self._trusted.move_to_end(source)
        if len(self._trusted) > self._sources:
            self._trusted.popitem(last=False)

    def distrust(self, source: Address) -> None:
        """He who was trusted there has gone."""
        self._trusted.pop(source, None)

    def admits(self, source: Address, now: float) -> bool:
        """Whether a message of this source is read. Counts it."""
        if self._is_spared(source.host):
            return True
        trusted = self._trusts(source, now)
        name = str(source) if trusted else _network(source.host)
        if name in self._bans and self._bans[name].until > now:
            return False
        left = self._messages.take(name, 1, now)
        if left < -self._messages.size and not trusted:
            self._ban(name, "flood", now)
        return left >= 0

    def failed(self, source: Address, reason: str, now: float, *, cost: float = 1.0) -> None:
        """Count a failure of a source: what it is, and how many others it weighs."""
        if self._is_spared(source.host):
            return
        host = _network(source.host)
        trusted = self._trusts(source, now)
        if self._failures.take(str(source) if trusted else host, cost, now) < 0:
            self._trusted.pop(source, None)
            self._ban(host, reason, now)

    def lift(self, now: float) -> list[Ban]:
        """The bans that have ended, each told once."""
        over = [ban for ban in self._bans.values() if ban.until <= now]
        for ban in over:
            del self._bans[ban.source]
        return over

    def next_end(self) -> float | None:
        """When the next ban ends, None while there is none."""
        return min((ban.until for ban in self._bans.values()), default=None)

    def _ban(self, source: str, reason: str, now: float) -> None:
        if source in self._bans and self._bans[source].until > now:
            return
        times, ended = self._times.pop(source, (0, now))
        if now - ended > self._longest:
            times = 0  # it has behaved for long
        ban = Ban(source, reason, now + min(self._shortest * 2.0**times, self._longest))
        self._times[source] = min(times + 1, 30), ban.until
        self._bans[source] = ban
        for table in (self._times, self._bans):
            if len(table) > self._sources:
                table.popitem(last=False)
        self._messages.forget(source)
        self._failures.forget(source)
        self.on_ban(ban)

    def _trusts(self, source: Address, now: float) -> bool:
        return self._trusted.get(source, now) > now

    def _is_spared(self, host: str) -> bool:
        if host in self._spared:
            return True
        return not self._loopback and (host.startswith("127.") or host == "::1")


def _network(host: str) -> str:
    """What a host is counted as: itself, of IPv6 its /64."""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.IPv6Network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        return host
