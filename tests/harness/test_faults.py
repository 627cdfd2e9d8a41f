"""The faults that can be asked for: their model, their page, and a scenario of each, held in virtual time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredLock, gatherResults

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness import FAULTS, Case, Faults, check_faults, find_cases
from ivr_sim.harness.faults import DECLINES
from ivr_sim.harness.replay import Manner, Replayed, Replayer
from ivr_sim.reports.verdict import CallVerdict

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "fixtures" / "faults"
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
# 20 seconds of real time are too many here; test_fault_services.py lets them pass at once.
TOO_SLOW = {"openpay_late"}
WAITING = {"authorizer_slow", "authorizer_late", "authorizer_dripping"}


def rows(header: str) -> dict[str, list[str]]:
    """A table of the page: the cells of each row, by the first."""
    table = PAGE[PAGE.index(f"| {header} |") :].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table]
    return {name: rest for name, *rest in cells}


# ---------------------------------------------------------------------------------------------- the model


def test_no_fault_is_asked_for_unless_it_is() -> None:
    assert Faults().asked_for == ()
    assert Faults(rtp_loss=0.0, sip_lost_ack=0).asked_for == ()
    assert Faults(rtp_loss=0.05, openpay="down").asked_for == ("rtp_loss", "openpay")


def test_text_is_typed() -> None:
    read = Faults.model_validate({"rtp_loss": "0.05", "sip_lost_ack": "2", "authorizer": "500"})
    assert read == Faults(rtp_loss=0.05, sip_lost_ack=2, authorizer="500")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rtp_los": "0.05"}, "rtp_los"),
        ({"rtp_loss": "5"}, "less than or equal to 1"),
        ({"rtp_jitter_ms": "-1"}, "greater than or equal to 0"),
        ({"sip_late_200": "33"}, "less than or equal to 30"),
        ({"sip_lost_ack": "some"}, "valid integer"),
        ({"authorizer": "late"}, "'down', 'reset', 'dripping'"),
        (
            {"openpay": "late"},
            "must be down, lost_answer, twice, 5xx, 5xx_charged, duplicate_order or decline:",
        ),
        ({"openpay": "decline:1006"}, "decline:CODE with one of 3001, 3002,"),
        ({"openpay": "decline:"}, "decline:CODE with one of 3001, 3002,"),
        ({"authorizer": "down", "authorizer_delay": "1"}, "drop authorizer_delay"),
        ({"openpay": "down", "openpay_delay": "1"}, "drop openpay_delay"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        Faults.model_validate(wrong)


def test_the_code_of_a_decline() -> None:
    assert [Faults(openpay=f"decline:{code}").declined_with for code in DECLINES] == DECLINES
    assert Faults(openpay="down").declined_with is None


def a_case(tmp_path: Path, faults: str, caller: str = "caller: {profile: fast}") -> Case:
    path = tmp_path / "bad.call.yaml"
    path.write_text(
        f"version: 1\nrecorded_on: 2026-11-23\ngiven: {{key: '123456'}}\n{caller}\n"
        f"expect: {{outcome: approved}}\nfaults:\n  {faults}\n",
        encoding="utf-8",
    )
    [case] = find_cases([path])
    return case


@pytest.mark.parametrize(
    ("faults", "how", "said"),
    [
        ("rtp_loss: 0.1", {"virtual": True}, "faults.rtp_loss needs a placed call"),
        ("sip_lost_ack: 1", {"virtual": True}, "faults.sip_lost_ack needs a placed call"),
        ("authorizer_delay: 1", {"virtual": True, "own_authorizer": False}, "leave out --authorizer"),
        ("authorizer: down", {"virtual": False, "own_authorizer": False}, "leave out --authorizer"),
        ("openpay: twice", {"virtual": False, "own_openpay": False}, "leave out --openpay"),
    ],
)
def test_what_cannot_be_had(tmp_path: Path, faults: str, how: dict[str, bool], said: str) -> None:
    case = a_case(tmp_path, faults)
    with pytest.raises(ConfigurationError, match=said) as refused:
        check_faults(case, **how)
    assert f"{case.path}:7: " in str(refused.value)


def test_what_can_be_had(tmp_path: Path) -> None:
    check_faults(a_case(tmp_path, "rtp_loss: 0.1"), virtual=False)
    check_faults(a_case(tmp_path, "authorizer: down"), virtual=True, own_openpay=False)
    check_faults(a_case(tmp_path, "openpay: down"), virtual=True, own_authorizer=False)
    soundfile.write(tmp_path / "tape.wav", np.zeros(800, np.int16), 8000)
    check_faults(a_case(tmp_path, "rtp_loss: 0.1", "wav: tape.wav"), virtual=True)
    with pytest.raises(ConfigurationError, match="rtp_jitter_ms"):
        check_faults(a_case(tmp_path, "rtp_jitter_ms: 20", "wav: tape.wav"), virtual=True)


# --------------------------------------------------------------------------------- what is told of them


def test_the_page_names_every_fault_and_no_other() -> None:
    told = {name: [named.what, named.must] for name, named in FAULTS.items()}
    table = rows("name")
    assert {name: cells[:2] for name, cells in table.items()} == told
    for name, (*_, ending, charges) in table.items():
        named = FAULTS[name]
        assert ending == " ".join(filter(None, (named.outcome, named.cause)))
        assert int(charges) == named.charges


def test_the_page_names_every_field_and_every_value() -> None:
    table = rows("field")
    assert list(table) == list(Faults.model_fields)
    for name, (value, _) in table.items():
        bounds = re.fullmatch(r"0 to (\d+)", value)
        if bounds:
            Faults.model_validate({name: bounds[1]})
            with pytest.raises(ValidationError):
                Faults.model_validate({name: str(int(bounds[1]) + 1)})
        else:
            for word in re.findall(r"`([^`]+)`", value):
                Faults.model_validate({name: word.replace("CODE", "3001")})
    asked = {name for named in FAULTS.values() for name in named.faults.asked_for}
    assert asked == set(Faults.model_fields)
    for name in ("authorizer", "openpay"):
        words = {str(getattr(named.faults, name)).replace("3001", "CODE") for named in FAULTS.values()}
        assert words - {"None"} == set(re.findall(r"`([^`]+)`", table[name][0]))


# ---------------------------------------------------------------------------------------- the scenarios


def cases(folder: str) -> dict[str, Case]:
    return {case.path.name.removesuffix(".call.yaml"): case for case in find_cases([SCENARIOS / folder])}


def test_there_is_a_scenario_of_every_fault() -> None:
    services, network = cases("services"), cases("network")
    assert services.keys() | network.keys() == FAULTS.keys()
    for name, case in (services | network).items():
        named, scenario = FAULTS[name], case.scenario
        assert scenario.faults.asked_for == named.faults.asked_for
        assert scenario.faults == named.faults or name == "authorizer_slow"
        assert (scenario.expect.outcome, scenario.expect.cause) == (named.outcome, named.cause)
        assert scenario.expect.charges == named.charges
        virtual = not scenario.faults.impossible(virtual=True)
        assert virtual == (name in services)


@pytest.fixture
def replay(on_reactor: Any, tmp_path: Path) -> Callable[[list[Case]], list[CallVerdict]]:
    """Replays calls: one after the other, but those that wait in real time beside them."""

    def replay_(cases: list[Case]) -> list[CallVerdict]:
        async def play() -> list[Replayed]:
            replayer = Replayer(reactor, Manner(data=tmp_path))
            turn = DeferredLock()

            def begin(case: Case) -> Deferred[Replayed]:
                if case.path.name.removesuffix(".call.yaml") in WAITING:
                    return Deferred.fromCoroutine(replayer.replay(case))
                return turn.run(lambda: Deferred.fromCoroutine(replayer.replay(case)))

            try:
                return await gatherResults([begin(case) for case in cases])
            finally:
                await replayer.stop()

        return [replayed.verdict for replayed in on_reactor(play, seconds=60)]

    return replay_


def test_every_fault_of_a_service_ends_as_it_must(replay: Any) -> None:
    """Each has a merchant of its own: the longest waits five seconds."""
    planned = [case for name, case in cases("services").items() if name not in TOO_SLOW]
    told = {v.name: (v.verdict, v.failure, v.reason) for v in replay(planned)}
    assert told == {case.name: ("pass", None, None) for case in planned}


def test_packets_of_a_recording_are_lost(replay: Any) -> None:
    """Of one in twenty, nothing is noticed; of three in four, the call comes to nothing."""
    [case] = find_cases([ROOT / "fixtures" / "calls" / "approved.call.yaml"])
    some, most = (
        replace(case, scenario=case.scenario.model_copy(update={"faults": Faults(rtp_loss=loss)}))
        for loss in (0.05, 0.75)
    )
    heard = replay([some, most])
    assert [verdict.verdict for verdict in heard] == ["pass", "fail"]
    assert heard[1].outcome == "no_input"
