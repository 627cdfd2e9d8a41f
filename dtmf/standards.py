"""What the standards demand of a receiver of key tones, and where this receiver draws its lines.

A standard says what must be heard ("operate") and what must not ("non-operate"); between the two a
receiver is free. ``STANDARDS`` is the table, one row per administration of ITU-T Q.24; ``PROFILES``
holds, beside each row, the decisions taken in that freedom:

                     operate          |  free            |  non-operate
    tone             40 ms and more   |  ... 31 ms ...   |  23, 24, under 20 ms
    pause            30 ms and more   |  ... 23.5 ms ... |  10, under 20 ms: a hole in a digit
    frequency        1.8 %            |  ... 2.3 % ...   |  3.0, 3.5 %
    level            -24, -25 dBm0    |  see below       |  -29, -55 dBm0

The standards disagree twice. ETSI wants every hole of under 20 ms bridged, NTT every pause of 30 ms heard:
23.5 ms splits holes from pauses for both, and bridges a lost packet of 20 ms. And NTT wants silence from
-29 dBm0 downwards, where a weak line is still telling us something: only its own profile obeys.

Levels are of each tone alone, in dBm0; twist is the high tone's level minus the low one's (makers of
receivers name its two directions both ways round).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dtmf.errors import DtmfError

__all__ = ["DEFAULT", "PROFILES", "STANDARDS", "Decision", "Profile", "Standard", "profile_named"]


@dataclass(frozen=True, kw_only=True)
class Standard:
    """One row of the table; None where the standard is silent.

    offset_operate: (share, Hz), a tone off its frequency by up to share x frequency + Hz is heard;
    offset_non_operate: a share of the frequency. level_operate: weakest and strongest tone heard.
    tone_accept_ms, tone_reject_ms: heard from this length on, not heard up to that one. pause_ms: two
    digits from this pause on; interruption_ms: one digit up to this hole. cycle_ms: tone and pause of the
    fastest keying. talk_off: how often speech may be taken for a key.
    """

    name: str
    offset_operate: tuple[float, float]
    offset_non_operate: float | None
    level_operate: tuple[float, float] | None
    level_non_operate: float | None
    twist_operate_db: tuple[float, float]
    tone_accept_ms: float
    tone_reject_ms: float
    pause_ms: float
    interruption_ms: float
    cycle_ms: float | None
    talk_off: str | None
    source: str

    def offset_hz(self, hz: float) -> float:
        """How far a tone of ``hz`` may be off and must still be heard, in Hz."""
        share, more = self.offset_operate
        return share * hz + more


STANDARDS: dict[str, Standard] = {
    standard.name: standard
    for standard in (
        Standard(
            name="AT&T",
            # The 2 Hz are handed down by makers' data sheets (MT8870, EIA-464); Q.24's table has none.
            offset_operate=(0.015, 2.0),
            offset_non_operate=0.035,
            level_operate=(-25.0, 0.0),
            level_non_operate=-55.0,
            twist_operate_db=(-8.0, 4.0),
            tone_accept_ms=40,
            tone_reject_ms=23,
            pause_ms=40,
            interruption_ms=10,
            cycle_ms=93,
            talk_off="1 in 3,000 calls (0-9), in 2,000 (0-9 * #), in 1,500 (all sixteen)",
            source="ITU-T Q.24, annex A (AT&T)",
        ),
        Standard(
            name="ETSI",
            offset_operate=(0.015, 2.0),  # as above
            offset_non_operate=None,
            level_operate=None,
            level_non_operate=None,
            twist_operate_db=(-6.0, 6.0),  # at second hand; the text itself was not at hand
            tone_accept_ms=40,  # "longer than 40 ms"; from 20 to 40 ms it may be heard
            tone_reject_ms=19.9,  # "shorter than 20 ms"
            pause_ms=40,
            interruption_ms=19.9,  # "shorter than 20 ms"
            cycle_ms=None,
            talk_off=None,
            source="ETSI ES 201 235-3 V1.3.1",
        ),
        Standard(
            name="NTT",
            offset_operate=(0.018, 0.0),
            offset_non_operate=0.030,
            level_operate=(-24.0, -3.0),
            level_non_operate=-29.0,
            twist_operate_db=(-5.0, 5.0),
            tone_accept_ms=40,
            tone_reject_ms=24,
            pause_ms=30,
            interruption_ms=10,
            cycle_ms=120,
            talk_off="6 in 46 hours of speech at a mean of -15 dBm",
            source="ITU-T Q.24, annex A (NTT)",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Where a receiver draws its lines.

    weakest_dbm0: of the weaker tone. twist_db: from and to. offset: the largest share of its frequency by
    which a tone may be off. shortest_ms: of a tone, its holes not counted. hole_ms: an interruption from
    this length on is the end of a digit. Raises DtmfError for values that make no sense.
    """

    weakest_dbm0: float = -48.5  # the noise of 8 bits (A-law) lies there; see the module about NTT's -29
    # AT&T's -8 and ETSI's +6, and what G.711 and noise 15 dB below the tones add to a measurement.
    twist_db: tuple[float, float] = (-10.5, 7.5)
    offset: float = 0.023  # 1.5 % + 2 Hz is 1.79 % of 697 Hz
    shortest_ms: float = 31.0
    hole_ms: float = 23.5

    def __post_init__(self) -> None:
        low, high = self.twist_db
        # Beyond these the measuring itself gives out: side lobes, the noise of 16 bits, half a window.
        if not (
            -60 <= self.weakest_dbm0 <= 0
            and -16 <= low < high <= 16
            and 0 < self.offset <= 0.03
            and 20 < self.shortest_ms <= 40
            and 10 < self.hole_ms <= 40
        ):
            raise DtmfError(f"no receiver can be made with {self}")


@dataclass(frozen=True)
class Profile:
    """A receiver's decisions, and the standards that they obey: those whose limits lie on either side."""

    name: str
    decision: Decision
    standards: tuple[Standard, ...]


_ALL = Decision()

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("default", _ALL, tuple(STANDARDS.values())),
        Profile("att", replace(_ALL, twist_db=(-10.0, 6.0)), (STANDARDS["AT&T"],)),
        Profile("etsi", replace(_ALL, twist_db=(-7.5, 7.5)), (STANDARDS["ETSI"],)),
        Profile("ntt", replace(_ALL, weakest_dbm0=-26.5, twist_db=(-6.5, 6.5)), (STANDARDS["NTT"],)),
    )
}
DEFAULT = PROFILES["default"]


def profile_named(name: str) -> Profile:
    """A profile by its name, in any case. Raises DtmfError, with the names there are."""
    profile = PROFILES.get(name.lower())
    if profile is None:
        raise DtmfError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return profile
