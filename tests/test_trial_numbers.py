"""5008 and 5009 over real SIP: what is heard, what is written down, and what is kept of a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

import dtmf
from ivr_sim.call import Phrase, phrase
from ivr_sim.harness import Caller, Script
from ivr_sim.journal import (
    CallEnded,
    CallOffered,
    EntryAccepted,
    Journal,
    KeyMethod,
    KeyPressed,
    KeyRefused,
    PromptStarted,
    Record,
    RecordingWritten,
)
from ivr_sim.merchant import Merchant
from ivr_sim.node import ECHO, KEYPAD, Node, local_now

pytestmark = pytest.mark.sip
CARD = "5105105105105100"
RATE = 8000
WAYS: tuple[KeyMethod, ...] = ("inband", "rfc4733", "info")


class House:
    """A node, and telephones that dial the numbers for trying telephones out."""

    def __init__(self, folder: Path) -> None:
        self.records: list[Record] = []
        self.journal = Journal(local_now)
        self.journal.subscribe(self.records.append)
        self.merchant = Merchant(reactor, folder / "services", now=local_now)
        users = (*WAYS, "echo", "card", "short")
        self.node = Node(
            reactor, self.merchant, self.journal, data=folder, out=folder / "out", accounts=users
        )

    async def start(self) -> None:
        self.merchant.start()
        await self.node.start()

    async def stop(self) -> None:
        await self.node.stop()
        await self.merchant.stop()

    async def call(
        self, user: str, number: str, script: Script, tape: np.ndarray | None = None
    ) -> np.ndarray:
        """What the caller heard."""
        phone = self.node.phone(user)
        try:
            await phone.start()
            return (await Caller(phone, self.journal).call(number, script, tape=tape)).samples
        finally:
            await phone.stop()

    def of(self, user: str, *kinds: type) -> list[Any]:
        """What happened in the one call of a user."""
        [call] = [r.call for r in self.records if isinstance(r.event, CallOffered) and r.event.from_ == user]
        return [r.event for r in self.records if r.call == call and isinstance(r.event, kinds)]

    def said(self, user: str) -> list[Phrase]:
        return [Phrase(e.name, e.params) for e in self.of(user, PromptStarted)]

    def recording(self, user: str) -> np.ndarray:
        """Both sides, (n, 2)."""
        [written] = self.of(user, RecordingWritten)
        samples, rate = soundfile.read(written.path, dtype="int16")
        assert rate == RATE
        return samples


@pytest.fixture
def house(on_reactor: Callable[..., Any], tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    on_reactor(made.start, seconds=30)
    yield made
    on_reactor(made.stop, seconds=30)


def place(heard: np.ndarray, wanted: np.ndarray) -> tuple[int, float]:
    """Where in what was heard a sound is, in samples, and how like it is what is there (1: exactly)."""
    size = 1 << (len(heard) + len(wanted)).bit_length()
    h, w = heard.astype(float), wanted.astype(float)
    product = np.fft.irfft(np.fft.rfft(h, size) * np.conj(np.fft.rfft(w, size)), size)[: len(h) - len(w) + 1]
    power = np.concatenate([[0.0], np.cumsum(h**2)])
    likeness = product / np.sqrt(np.maximum(power[len(w) :] - power[: -len(w)], 1) * (w**2).sum())
    found = int(likeness.argmax())
    return found, float(likeness[found])


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(RATE * seconds), np.int16)


def sweep(seconds: float) -> np.ndarray:
    """From 500 to 900 Hz: nowhere like itself, and no key."""
    t = np.arange(round(RATE * seconds)) / RATE
    hz = 300 + 200 * t / seconds
    return np.round(8000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def test_numbers_for_trying_a_telephone_out(house: House, on_reactor: Callable[..., Any]) -> None:
    """All calls at once, since each lasts as long as its prompts do."""
    short = np.round(32767 * dtmf.generate("159", tone_ms=22, gap_ms=200, lead_ms=1500, tail_ms=800))
    spoken = sweep(3)
    keyed_twice = {
        way: Script(answers={"keypad": ["7##"]}, by=way, barge_in=True, key_ms=120) for way in WAYS
    }
    card = Script(answers={"keypad": [f"{CARD}#0930#073#"], "keypad_hides_all": ["!"]}, barge_in=True)

    async def everybody() -> list[np.ndarray]:
        calls = [house.call(way, KEYPAD, script) for way, script in keyed_twice.items()]
        calls.append(house.call("card", KEYPAD, card))
        calls.append(house.call("short", KEYPAD, Script(), short.astype(np.int16)))
        calls.append(house.call("echo", ECHO, Script(), np.concatenate([silence(8), spoken, silence(1.5)])))
        heard = await gatherResults([Deferred.fromCoroutine(call) for call in calls], consumeErrors=True)
        await house.node.settle()
        return heard

    heard = on_reactor(everybody, seconds=90)
    for way, sound in zip(WAYS, heard, strict=False):
        check_said_back(house, way, sound)
    check_card(house)
    check_short(house)
    check_echo(house, heard[-1], spoken)


def check_said_back(house: House, way: KeyMethod, heard: np.ndarray) -> None:
    """The 7 and twice #, each in the library's own sound; then the line hangs up."""
    said = house.said(way)
    assert [p.name for p in said] == ["keypad", *["keypad_key"] * 3, "goodbye"]
    assert [(p.params["pressed"], p.params["method"]) for p in said[1:4]] == [
        ("7", way),
        ("#", way),
        ("#", way),
    ]
    pressed = house.of(way, KeyPressed)
    assert [e.method for e in pressed] == [way] * 3
    for told, event in zip(said[1:4], pressed, strict=True):
        assert abs(int(told.params["milliseconds"]) - 120) <= 20
        assert abs(event.duration_ms - 120) <= 20
        assert (
            told.params.keys()
            == {
                "inband": {"pressed", "method", "milliseconds", "level", "twist"},
                "rfc4733": {"pressed", "method", "milliseconds", "level"},
                "info": {"pressed", "method", "milliseconds"},
            }[way]
        )
        if way == "inband":
            assert abs(int(told.params["level"]) + 10) <= 1
            assert told.params["twist"] == "0"
    assert [(e.field, e.length, e.value) for e in house.of(way, EntryAccepted)] == [
        ("keypad", 1, "7"), ("keypad", 1, "#"), ("keypad", 1, "#")
    ]  # fmt: skip
    # Its first second: a packet late by more than the buffer holds would shift what comes behind it.
    places = []
    for told in (said[1], said[2], phrase("goodbye")):
        where, likeness = place(heard, house.node.library.sound_now(told)[:RATE])
        assert likeness > 0.6, told
        places.append(where)
    assert places == sorted(places)
    [ended] = house.of(way, CallEnded)
    assert (ended.outcome, ended.cause, ended.by) == ("tried", None, "ivr")


def check_card(house: House) -> None:
    """Five of its digits are told; the rest is neither said nor written nor left in the recording."""
    values = [e.value for e in house.of("card", EntryAccepted)]
    assert values == [*"51051", *[None] * (len(values) - 5)]
    assert len(values) == len(CARD) + len("#0930#073#")
    told = [p.params["pressed"] for p in house.said("card") if p.name == "keypad_key"]
    assert "51051".startswith("".join(told))
    caller = house.recording("card")[:, 0]
    assert "".join(tone.digit for tone in dtmf.decode(caller, RATE)) == "51051"


def check_short(house: House) -> None:
    """Keys of 22 ms: none is taken, and each is told of."""
    refused = house.of("short", KeyRefused)
    assert [(e.method, e.reason) for e in refused] == [("inband", "too_short")] * 3
    assert all(e.duration_ms in (20, 30) for e in refused)
    assert house.of("short", KeyPressed, EntryAccepted) == []
    [ended] = house.of("short", CallEnded)
    assert (ended.outcome, ended.cause, ended.by) == ("tried", "hung_up", "caller")


def check_echo(house: House, heard: np.ndarray, spoken: np.ndarray) -> None:
    """It comes back a little later, as good as G.711 has it; the recording has it once."""
    assert [p.name for p in house.said("echo")] == ["echo"]
    # Piece by piece: a packet that came too late to be heard shifts what comes behind it.
    ratios, delays = [], []
    for first in range(0, len(spoken), RATE // 2):
        piece = spoken[first : first + RATE // 2].astype(float)
        where, _ = place(heard, piece)
        noise = ((heard[where : where + len(piece)] - piece) ** 2).sum()
        ratios.append(10 * np.log10((piece**2).sum() / max(noise, 1e-9)))
        delays.append((where - first) / RATE - 8)
    assert np.median(ratios) > 35
    assert 0.2 < np.median(delays) < 1.0
    recording = house.recording("echo")
    assert place(recording[:, 0], spoken[:RATE])[1] > 0.9
    assert not recording[round(7.5 * RATE) :, 1].any()
