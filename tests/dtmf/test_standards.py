"""The table of standards, and that every decision lies between its operate and non-operate limits."""

from __future__ import annotations

import pytest

from dtmf.errors import DtmfError
from dtmf.keypad import HIGH_HZ, LOW_HZ
from dtmf.standards import DEFAULT, PROFILES, STANDARDS, Decision, Profile, Standard, profile_named

pairs = pytest.mark.parametrize(
    ("profile", "standard"),
    [pytest.param(p, s, id=f"{p.name}-{s.name}") for p in PROFILES.values() for s in p.standards],
)


@pairs
def test_what_must_be_heard_lies_within_the_decision(profile: Profile, standard: Standard) -> None:
    decision = profile.decision
    assert all(standard.offset_hz(hz) < decision.offset * hz for hz in LOW_HZ + HIGH_HZ)
    assert decision.twist_db[0] < standard.twist_operate_db[0]
    assert decision.twist_db[1] > standard.twist_operate_db[1]
    assert decision.shortest_ms < standard.tone_accept_ms
    assert standard.interruption_ms < decision.hole_ms < standard.pause_ms
    if standard.level_operate is not None:
        assert decision.weakest_dbm0 < standard.level_operate[0]


@pairs
def test_what_must_not_be_heard_lies_beyond_it(profile: Profile, standard: Standard) -> None:
    decision = profile.decision
    assert decision.shortest_ms > standard.tone_reject_ms
    if standard.offset_non_operate is not None:
        assert decision.offset < standard.offset_non_operate
    # The default hears weak lines, where NTT wants silence: the one limit that it does not keep.
    if standard.level_non_operate is not None and (profile, standard.name) != (DEFAULT, "NTT"):
        assert decision.weakest_dbm0 > standard.level_non_operate


def test_the_default_obeys_every_standard_there_is() -> None:
    assert DEFAULT.standards == tuple(STANDARDS.values())
    assert {s.name for p in PROFILES.values() if p is not DEFAULT for s in p.standards} == set(STANDARDS)


def test_profiles_have_names() -> None:
    assert profile_named("NTT") is PROFILES["ntt"]
    with pytest.raises(DtmfError, match="no profile 'bt'; there are default, att, etsi, ntt"):
        profile_named("bt")


@pytest.mark.parametrize(
    "wrong",
    [
        {"weakest_dbm0": -80.0},
        {"weakest_dbm0": float("nan")},
        {"twist_db": (4.0, -8.0)},
        {"offset": 0.0},
        {"shortest_ms": 5.0},
        {"hole_ms": 60.0},
    ],
)
def test_decisions_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(DtmfError, match="no receiver can be made"):
        Decision(**wrong)  # type: ignore[arg-type]
