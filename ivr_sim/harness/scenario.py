"""The one model of labels and scenarios: what a call is given, what its caller does, what must come of it.

A file ``NAME.call.yaml`` is a label where a recording (``wav``) says what the caller does, and a scenario
where ``steps`` or a caller's ``profile`` do. How files are read, with their tables and placeholders, and
how errors find their lines, is in ``reading``; the steps of a profile are in ``profile``.

Whatever is written in a file comes here as text; the types are made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from ivr_sim.harness.faults import Faults
from ivr_sim.harness.step import HangUp, Hear, Model, Play, Press, Step, Wait
from ivr_sim.harness.vocabulary import (
    ENTRIES,
    EVENTS,
    SECRET_ENTRIES,
    CardName,
    OutcomeName,
    PromptName,
    known,
)
from ivr_sim.journal import KeyMethod
from ivr_sim.prompts import DEFAULT_LANGUAGE, Catalogue

__all__ = [
    "SUFFIX",
    "CallerSettings",
    "Case",
    "Expected",
    "Given",
    "HangUp",
    "Hear",
    "Play",
    "Press",
    "Profile",
    "Scenario",
    "State",
    "Step",
    "ToneSettings",
    "Wait",
]

SUFFIX = ".call.yaml"

State = Literal["payable", "paid", "expired", "cancelled", "missing"]
Profile = Literal["fast", "slow", "hesitant", "interrupts", "corrects", "silent", "hangs_up"]
STOPS: tuple[Profile, ...] = ("silent", "hangs_up")  # those that stop at a prompt


def _wrong(sentence: str) -> NoReturn:
    raise ValueError(sentence)


class Given(Model):
    """What there is before the call: a payment key at the authorizer, and the payer's card.

    state: how the key stands there; ``missing``: it is unknown. card: a test card by its name, or several,
    which the caller tries in turn.
    """

    key: str = "123456"
    amount: Decimal = Decimal("200.00")
    order_id: Annotated[str, Field(min_length=1, max_length=100)] = "ord-1"
    description: Annotated[str, Field(min_length=1, max_length=250)] = "Cargo IVR"
    card: CardName | Annotated[list[CardName], Field(min_length=1)] | None = None
    state: State = "payable"

    @field_validator("key")
    @classmethod
    def _can_be_keyed(cls, key: str) -> str:
        if not (key.isascii() and key.isdigit() and 4 <= len(key) <= 12) or key.startswith("0"):
            _wrong("a payment key has 4 to 12 digits and begins with none of them 0")
        return key

    @field_validator("amount")
    @classmethod
    def _can_be_paid(cls, amount: Decimal) -> Decimal:
        if not amount.is_finite() or not 0 < amount < 10**9 or amount != round(amount, 2):
            _wrong("an amount is more than 0, and has two decimals at the most: 200.00")
        return round(amount, 2)

    @property
    def cards(self) -> list[str]:
        """The names of the cards that the caller has; the approved Visa where none is named."""
        if self.card is None:
            return ["visa-approved"]
        return [self.card] if isinstance(self.card, str) else list(self.card)


def _parts(value: Any) -> str | None:
    return {2: "begun", 3: "over"}.get(len(value)) if isinstance(value, list | tuple) else None


Began = Annotated[
    Annotated[tuple[float, PromptName], Tag("begun")]
    | Annotated[tuple[float, PromptName, float], Tag("over")],
    Discriminator(_parts),
]


class CallerSettings(Model):
    """How the caller behaves.

    profile: one of the callers that need no steps; at: the prompt at which it falls silent or hangs up.
    accept: what it answers to the amount. by: the way of keying. key_ms, gap_ms: how long a key is, and the
    pause behind it; delay: seconds from a prompt's end to the first key. What is left open is the profile's.
    """

    profile: Profile | None = None
    at: PromptName | None = None
    accept: Literal["1", "2"] = "1"
    by: KeyMethod = "inband"
    key_ms: Annotated[int | None, Field(ge=10, le=5000)] = None
    gap_ms: Annotated[int | None, Field(ge=10, le=5000)] = None
    delay: Annotated[float | None, Field(ge=0, le=60)] = None

    @model_validator(mode="after")
    def _stops_somewhere(self) -> CallerSettings:
        if self.at is not None and self.profile not in STOPS:
            _wrong(f"at belongs to the profiles {' and '.join(STOPS)}")
        return self


class ToneSettings(Model):
    """What the keys sound like, where they are tones.

    level_dbm0: of each of the two tones; twist_db: the high one's level minus the low one's. noise_dbm0 or
    snr_db: white noise under the whole call, by its level or by its distance from the keys.
    """

    level_dbm0: Annotated[float, Field(ge=-60, le=3)] = -10.0
    twist_db: Annotated[float, Field(ge=-30, le=30)] = 0.0
    noise_dbm0: Annotated[float | None, Field(ge=-90, le=3)] = None
    snr_db: Annotated[float | None, Field(ge=-20, le=90)] = None

    @model_validator(mode="after")
    def _one_noise(self) -> ToneSettings:
        if self.noise_dbm0 is not None and self.snr_db is not None:
            _wrong("noise_dbm0 and snr_db say the same: write one of them")
        return self


class Requests(Model):
    """How many HTTP requests each service gets."""

    authorizer: Annotated[int | None, Field(ge=0)] = None
    openpay: Annotated[int | None, Field(ge=0)] = None


class Expected(Model):
    """What must have happened; what is not written is not judged.

    cause: the outcome's, ``null`` for none. entries: per field the value that counted, or the list of all
    that were accepted; secret ones are never written down. prompts: names that must be heard, in this order;
    others may stand between them. journal: events, each by its name (``event``) and some of its fields, in
    this order, others between them. charges: how many completed charges of the order there must be; unless
    written, 1 where the call is approved, at most 1 where the outcome is unknown, otherwise 0.
    barge_in_ms: at most so long from a key that cuts a prompt to silence.
    """

    outcome: OutcomeName | None = None
    cause: str | None = None
    entries: dict[str, str | list[str]] = Field(default_factory=dict)
    prompts: list[PromptName] = Field(default_factory=list)
    journal: list[dict[str, Any]] = Field(default_factory=list)
    requests: Requests = Requests()
    charges: Annotated[int | None, Field(ge=0)] = None
    barge_in_ms: Annotated[float | None, Field(gt=0)] = None

    @field_validator("entries")
    @classmethod
    def _are_asked_for(cls, entries: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        for name in entries:
            if name in SECRET_ENTRIES:
                _wrong(f"{name} is secret and never written down; name the card in given.card")
            known("entry", name, ENTRIES)
        return entries

    @field_validator("journal")
    @classmethod
    def _are_events(cls, journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for at, wanted in enumerate(journal):
            if not isinstance(wanted.get("event"), str):
                _wrong(f"item {at + 1} needs the name of an event: {{event: EntryRefused, field: accept}}")
            name = known("event", wanted["event"], EVENTS)
            for key in wanted.keys() - {"event"}:
                known(f"field of {name}", key, EVENTS[name])
        return journal


class Scenario(Model):
    """One call: what it is given, what its caller does, and what must come of it.

    What the caller does is said by exactly one of ``wav`` (a recording beside the file), ``steps`` and
    ``caller.profile``. language: what the line speaks. recorded_on: the day that the call counts as held on,
    since cards expire; a label needs it. timeline: when each prompt started on the recording, its name, and
    (where it is known) when it was over, in seconds since the answer.
    """

    version: Literal["1"]
    name: Annotated[str | None, Field(min_length=1, max_length=100, pattern=r"^[^/\\\x00-\x1f]+$")] = None
    number: Annotated[str, Field(pattern=r"^[A-Za-z0-9*#+._-]{1,64}$")] = "5000"
    language: str = DEFAULT_LANGUAGE
    wav: Annotated[str | None, Field(min_length=1)] = None
    recorded_on: date | None = None
    given: Given = Given()
    caller: CallerSettings = CallerSettings()
    tone: ToneSettings = ToneSettings()
    expect: Expected = Expected()
    steps: list[Step] = Field(default_factory=list)
    faults: Faults = Faults()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    timeline: list[Began] = Field(default_factory=list)

    @field_validator("language")
    @classmethod
    def _has_texts(cls, language: str) -> str:
        return Catalogue(language).language

    @model_validator(mode="after")
    def _has_one_caller(self) -> Scenario:
        said = [word for word, there in (
            ("wav", self.wav), ("steps", self.steps), ("caller.profile", self.caller.profile),
        ) if there]  # fmt: skip
        if len(said) != 1:
            what = " and ".join(said) if said else "nothing"
            _wrong(f"{what} says what the caller does: write one of wav, steps and caller.profile")
        return self


@dataclass(frozen=True)
class Case:
    """One planned call. It can be pickled.

    name: unique in a run: the file's, with the row's in brackets where the file has a table. path: the file
    (of a recording without a label, the WAV). lines: where each part of the file is written.
    """

    name: str
    scenario: Scenario
    path: Path
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False)

    @property
    def labelled(self) -> bool:
        """Whether anything is expected: false of a recording without a label."""
        return self.path.name.endswith(SUFFIX)

    @property
    def wav(self) -> Path | None:
        """The recording, if one says what the caller does."""
        return None if self.scenario.wav is None else self.path.parent / self.scenario.wav

    def line_of(self, *place: str | int) -> int:
        """The line (from 1) where a part is written, such as ``line_of("expect", "outcome")``.

        Of what is not written, the line of what it would be in.
        """
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)
