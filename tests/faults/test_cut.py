"""The connection to Openpay, cut at every point of a charge: token, charge, and the looks after it.

Each case is a whole call, then a process started anew on the same ledger, then a second caller. Whatever
broke: one completed charge at most, each caller told the truth, and in the end the ledger knows it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor

from ivr_sim.ivr import Ivr
from ivr_sim.journal import ChargeSettled

# One connection each, in this order.
TOKEN, CHARGE, LOOK_1, LOOK_2, LOOK_3 = range(5)
NAMES = ("token", "charge", "look 1", "look 2", "look 3")

GET = ("accepted", "first byte", "request line", "headers", "last byte missing", "whole")
POST = (*GET[:4], "after headers", "mid body", *GET[4:])
ANSWER = ("first byte", "status line", "headers", "after headers", "mid body", "last byte missing", "whole")

Broken = tuple[str, ...]
LOST: Broken = ("answer", "first byte", "RST")  # Openpay has done what it was asked, and nobody knows
NEVER: Broken = ("request", "last byte missing", "FIN")  # Openpay was asked nothing
REFUSED: Broken = ("refused",)


@dataclass(frozen=True)
class Case:
    """What breaks, what the caller is told for it, and whether the order is paid then."""

    cuts: dict[int, Broken]
    told: str
    paid: bool
    late: int | None = None

    def __str__(self) -> str:
        last = max(self.cuts)
        earlier = "paid, " if last > CHARGE and self.paid else "unpaid, " if last > CHARGE else ""
        late = "" if self.late is None else f", there before {NAMES[self.late]}"
        return f"{earlier}{NAMES[last]}: {' '.join(self.cuts[last])}{late}"


def cuts_of(requests: tuple[str, ...]) -> Iterator[Broken]:
    """Every point of one exchange, ended and reset in turn."""
    points = [("request", point) for point in requests] + [("answer", point) for point in ANSWER]
    for n, (way, point) in enumerate(points):
        yield way, point, ("FIN", "RST")[n % 2]


def cases() -> Iterator[Case]:
    for cut in (REFUSED, *cuts_of(POST)):
        whole = cut[:2] == ("answer", "whole")
        yield Case({TOKEN: cut}, "approved" if whole else "openpay_failed", paid=whole)
    for cut in (REFUSED, *cuts_of(POST)):
        for how in ("FIN", "RST") if cut is not REFUSED else ("",):
            done = cut[0] == "answer" or cut[1:2] == ("whole",)
            yield Case({CHARGE: (*cut[:2], how)}, "approved" if done else "openpay_failed", paid=done)
    # The charge was made, and its answer lost: whichever look is not cut tells.
    for cut in (REFUSED, *cuts_of(GET)):
        yield Case({CHARGE: LOST, LOOK_1: cut}, "approved", paid=True)
    for cut in list(cuts_of(GET))[::5]:
        yield Case({CHARGE: LOST, LOOK_1: REFUSED, LOOK_2: cut}, "approved", paid=True)
    for cut in list(cuts_of(GET))[2::3]:
        yield Case(
            {CHARGE: LOST, LOOK_1: REFUSED, LOOK_2: REFUSED, LOOK_3: cut}, "unknown_outcome", paid=True
        )
    # The charge was not made: three looks must find nothing, two prove nothing.
    for look in (LOOK_1, LOOK_2, LOOK_3):
        for cut in (REFUSED, ("answer", "mid body", "FIN")):
            yield Case({CHARGE: NEVER, look: cut}, "unknown_outcome", paid=False)
    # Nothing breaks, and nothing comes: the client's patience ends.
    yield Case({TOKEN: ("request", "mid body", "stall")}, "openpay_failed", paid=False)
    yield Case({TOKEN: ("answer", "mid body", "stall")}, "openpay_failed", paid=False)
    yield Case({CHARGE: ("request", "mid body", "stall")}, "openpay_failed", paid=False)
    yield Case({CHARGE: ("answer", "mid body", "stall")}, "approved", paid=True)
    yield Case({CHARGE: LOST, LOOK_1: ("answer", "headers", "stall")}, "approved", paid=True)
    for look in (LOOK_1, LOOK_2, LOOK_3):
        yield Case({CHARGE: ("request", "whole", "stall")}, "approved", paid=True, late=look)


CASES = list(cases())


@pytest.fixture
def hold(world: Any, proxy: Any, approved: Any, library: Any) -> Callable[..., Any]:
    """Holds the call of a case, up to its end: what there is then, with the process as it stands."""

    async def hold_(folder: Path, case: Case) -> SimpleNamespace:
        merchant = world.open_merchant(reactor, folder / "services")
        way = proxy.Proxy(reactor, merchant.openpay.port)
        way.cuts = {n: proxy.Cut(*cut) for n, cut in case.cuts.items()}
        if case.late is not None:
            way.cuts[CHARGE] = proxy.Cut(*case.cuts[CHARGE], late=case.late)
        web = world.Ahead(reactor)
        web.connectTCP = lambda host, port, *more, **named: reactor.connectTCP(  # type: ignore[attr-defined]
            host, way.where(port), *more, **named
        )
        way.stalled = lambda: web.skip(20.0)
        clock = world.Leaping(reactor, way.busy)
        place = world.Place.of(merchant, folder / "ledger.sqlite3", port=way.port)
        till = world.Till(reactor, place, clock, web=web)
        await till.cashier.start()
        ending = await Ivr(till.shop, library, till.journal).replayed(approved, name="0001", to="5000")
        clock.frozen = True  # here the process ends
        return SimpleNamespace(
            merchant=merchant, way=way, place=place, till=till, ending=ending, told=till.told("0001")
        )

    return hold_


async def anew(world: Any, scene: SimpleNamespace) -> Any:
    """A process about to start on the ledger of the one that has ended; nothing breaks now."""
    await scene.till.stop()
    scene.way.cuts = {}
    return world.Till(reactor, scene.place, world.Leaping(reactor, scene.way.busy), attempts="b")


async def close(scene: SimpleNamespace, *tills: Any) -> None:
    for till in tills:
        await till.stop()
    await scene.way.stop()
    await scene.merchant.stop()


def test_there_are_more_than_fifty_points() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) > 50


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cut(on_reactor: Any, world: Any, hold: Any, tmp_path: Path, case: Case) -> None:
    async def play() -> None:
        scene = await hold(tmp_path, case)
        assert scene.way.broken == len(case.cuts)
        assert [name for name, _ in scene.told] == [case.told]
        paid = world.completed(scene.merchant)
        assert bool(paid) == case.paid
        world.check_told(scene.told, paid)
        [settled] = [r.event for r in scene.till.records if isinstance(r.event, ChargeSettled)]
        [entry] = scene.till.entries()
        assert (entry.attempt, entry.call) == (settled.attempt, "0001")
        assert settled.result == (entry.result or "unknown")

        till = await anew(world, scene)
        await till.cashier.start()
        reconciled = [(call, event.result) for call, event in await till.settled(reactor)]
        world.check_books(till.entries(), scene.merchant)
        left_open = [("0001", "approved" if case.paid else "failed")]
        assert reconciled == (left_open if settled.result == "unknown" else [])

        await till.serve("0002")
        world.check_told(till.told("0002"), world.completed(scene.merchant))
        assert [name for name, _ in till.told("0002")] == ["already_paid" if case.paid else "approved"]
        assert len(world.completed(scene.merchant)) == 1
        world.check_books(till.entries(), scene.merchant)
        await close(scene, till)

    on_reactor(play, seconds=30)


def test_a_charge_that_arrives_after_it_was_given_up(
    on_reactor: Any, world: Any, hold: Any, tmp_path: Path
) -> None:
    """Three looks found nothing, and so it was told. Whoever calls next is told better, and pays nothing."""

    async def play() -> None:
        never = LOOK_3 + 1
        case = Case({CHARGE: ("request", "whole", "stall")}, "openpay_failed", paid=False, late=never)
        scene = await hold(tmp_path, case)
        assert [name for name, _ in scene.told] == [case.told]
        assert [entry.result for entry in scene.till.entries()] == ["failed"]
        assert b'"completed"' in await scene.way.ask(scene.way.held.pop(never))

        till = await anew(world, scene)
        await till.cashier.start()
        await till.serve("0002")
        assert [name for name, _ in till.told("0002")] == ["already_paid"]
        assert [(call, event.result) for call, event in till.reconciled()] == [("0001", "approved")]
        assert len(world.completed(scene.merchant)) == 1
        world.check_books(till.entries(), scene.merchant)
        await close(scene, till)

    on_reactor(play, seconds=30)
