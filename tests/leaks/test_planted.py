"""Leaks put in on purpose: each of them, made in the product's own code, is found.

Most of them in a call in virtual time; those of the recording and of SIP INFO in calls over SIP, one
caller for each.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import structlog

from ivr_sim.call import Typed
from ivr_sim.cards import CardNumber
from ivr_sim.clients import OpenpayAcquirer, OpenpayClient
from ivr_sim.clients.http import Body, HttpClient
from ivr_sim.dialogue import payment
from ivr_sim.ivr import Ivr
from ivr_sim.journal import EntryAccepted, Event, RecordingWritten
from ivr_sim.legs import LegCall
from ivr_sim.media import Recorder
from ivr_sim.openpay import app as stand_in
from ivr_sim.reports import Transcript
from ivr_sim.sip import info

pytestmark = pytest.mark.sip

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, kw_only=True)
class KeyTold(Event):
    digit: str


def wrapped(patch: Patch, owner: Any, name: str, before: Callable[..., None]) -> None:
    """Have a method do something first."""
    original = getattr(owner, name)

    def method(self: Any, *args: Any, **named: Any) -> Any:
        before(self, *args, **named)
        return original(self, *args, **named)

    patch.setattr(owner, name, method)


def a_key_pressed_that_tells_the_digit(patch: Patch) -> None:
    wrapped(patch, LegCall, "key_up", lambda call, digit, *a: call.journal.emit(KeyTold(digit=digit)))


def a_log_line_per_digit(patch: Patch) -> None:
    log = logging.getLogger("channel")
    wrapped(
        patch, LegCall, "key_down",
        lambda call, digit, method, start: log.debug("DTMF begin '%s' received after %.3f s", digit, start),
    )  # fmt: skip


def a_repr_of_what_was_typed(patch: Patch) -> None:
    patch.setattr(Typed, "__repr__", lambda typed: f"Typed({typed.reveal()!r})")
    log = structlog.get_logger("dialogue")
    collect = LegCall.collect

    async def logged(call: LegCall, *args: Any, **named: Any) -> Any:
        entry = await collect(call, *args, **named)
        log.debug("collected", entry=entry)
        return entry

    patch.setattr(LegCall, "collect", logged)


def a_card_entry_published(patch: Patch) -> None:
    question = payment.card_number
    patch.setattr(payment, "card_number", lambda shop: replace(question(shop), secret=False))


def a_body_in_a_log(patch: Patch) -> None:
    patch.setattr(Body, "__repr__", lambda body: f"Body({body._Body__content!r})")
    log = structlog.get_logger("http")
    wrapped(patch, HttpClient, "request", lambda client, *a, body=None, **k: log.debug("sent", body=body))


def an_exception_with_the_card(patch: Patch) -> None:
    async def fail(client: OpenpayClient, card: Any, holder: str) -> Any:
        raise RuntimeError(f"cannot send {card.number.reveal()}, {card.security_code.reveal()}")

    patch.setattr(OpenpayClient, "create_token", fail)
    patch.setattr(payment, "place", lambda error: f"{error}")


def a_store_that_keeps_the_number(patch: Patch) -> None:
    create = stand_in.create_token

    def kept(store: Any, merchant: str, asked: Any, now: Any) -> Any:
        number = asked.card_number.get_secret_value()
        return create(store, merchant, asked.model_copy(update={"holder_name": f"PAGO {number}"}), now)

    patch.setattr(stand_in, "create_token", kept)


def a_code_in_the_metadata(patch: Patch) -> None:
    codes: list[str] = []
    charge, create = OpenpayAcquirer.charge, OpenpayClient.create_charge

    async def noted(acquirer: Any, payable: Any, card: Any, **named: Any) -> Any:
        codes.append(card.security_code.reveal())
        return await charge(acquirer, payable, card, **named)

    async def sent(client: Any, *args: Any, metadata: Any = None, **named: Any) -> Any:
        return await create(client, *args, metadata={**metadata, "cvv": codes[-1]}, **named)

    patch.setattr(OpenpayAcquirer, "charge", noted)
    patch.setattr(OpenpayClient, "create_charge", sent)


def a_report_with_the_number_in_groups(patch: Patch) -> None:
    seen: list[str] = []
    wrapped(patch, CardNumber, "__init__", lambda number, digits: seen.append(digits))
    line = Transcript._line

    def told(transcript: Transcript, event: Event) -> Any:
        if isinstance(event, EntryAccepted) and event.field == "card_number":
            number = seen[-1]
            return "entry", " ".join(number[n : n + 4] for n in range(0, 16, 4)), "dim"
        return line(transcript, event)

    patch.setattr(Transcript, "_line", told)


def a_refused_key_in_the_log_of_the_authorizer(patch: Patch) -> None:
    from authorizer import KeyStore

    log = logging.getLogger("authorizer.keys")
    wrapped(patch, KeyStore, "find", lambda store, key: log.info("no such key: %s", key))


CARD = "{key}# 1 {card} {expiry} {code}"
AS_KEY = "{part}#"

PLANTED = {
    a_key_pressed_that_tells_the_digit: (CARD, "journal.jsonl", "one digit per record"),
    a_log_line_per_digit: (CARD, "log", "one digit per record"),
    a_repr_of_what_was_typed: (CARD, "log", "number"),
    a_card_entry_published: (CARD, "journal.jsonl", "number"),
    a_body_in_a_log: (CARD, "log", "number"),
    an_exception_with_the_card: (CARD, "log", "number"),
    a_store_that_keeps_the_number: (CARD, "openpay.sqlite3", "number"),
    a_code_in_the_metadata: (CARD, "openpay.sqlite3", "security code"),
    a_report_with_the_number_in_groups: (CARD, "transcript.txt", "grouped"),
    a_refused_key_in_the_log_of_the_authorizer: (AS_KEY, "log", "part of a number"),
}


def keyed(scenes, what: str) -> str:
    number = scenes.MASTERCARD
    words = {"key": "{key}", "card": number, "part": number[:12], "expiry": scenes.EXPIRY}
    return what.format(**words, code=scenes.CODE)


@pytest.mark.parametrize("what", [CARD, AS_KEY])
def test_without_a_leak_nothing_is_found(on_reactor, tmp_path, scenes, search, what):
    with scenes.under_test(), scenes.everything_logged(tmp_path / "log"):
        records = on_reactor(scenes.replayed, tmp_path, keyed(scenes, what))
    assert records[-1].event.outcome == ("approved" if what == CARD else "abandoned")
    assert search(tmp_path) == []


@pytest.mark.parametrize("leak", PLANTED, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_found(on_reactor, tmp_path, monkeypatch, scenes, search, leak):
    what, where, guise = PLANTED[leak]
    with scenes.under_test(), scenes.everything_logged(tmp_path / "log"), monkeypatch.context() as patch:
        leak(patch)
        on_reactor(scenes.replayed, tmp_path, keyed(scenes, what))
    found = search(tmp_path)
    assert [f for f in found if where in f.where and guise in f.guise], found


# Of the recording --------------------------------------------------------------------------------


def no_mask(recorder: Recorder, mask: Callable[..., None], secret: Any, published: Any) -> None:
    recorder._kept = recorder._sound()
    recorder.masked = True


def a_mask_too_short(recorder: Recorder, mask: Callable[..., None], secret: Any, published: Any) -> None:
    """40 ms at the beginning and at the end of what should be masked are left."""
    before = recorder._sound()
    mask(secret, published=published)
    hidden = (before != recorder._kept)[:, 0]
    for first, last in _runs(hidden):
        for part in (slice(first, first + 640), slice(last - 640, last)):
            recorder._kept[part] = before[part]


def tones_under_the_neutral_one(
    recorder: Recorder, mask: Callable[..., None], secret: Any, published: Any
) -> None:
    before = recorder._sound()
    mask(secret, published=published)
    changed = before != recorder._kept
    recorder._kept += np.where(changed, before // 8, 0).astype(np.int16)


def an_unmasked_copy_in_the_temporary_folder(
    recorder: Recorder, mask: Callable[..., None], secret: Any, published: Any
) -> None:
    with tempfile.NamedTemporaryFile(suffix=".wav", delete=False) as file:
        soundfile.write(file, recorder._sound(), 8000, format="WAV")
    mask(secret, published=published)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of what was changed, with gaps of up to 20 ms within."""
    places = np.flatnonzero(flags)
    parts = np.split(places, np.flatnonzero(np.diff(places) > 160) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]


RECORDING = {
    "no mask": no_mask,
    "too short": a_mask_too_short,
    "under the neutral tone": tones_under_the_neutral_one,
    "temporary": an_unmasked_copy_in_the_temporary_folder,
}


@pytest.fixture(scope="module")
def sabotaged(on_reactor, tmp_path_factory, scenes) -> SimpleNamespace:
    """Four calls whose recordings leak, each in its way, and one whose INFO bodies are logged."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "tmp").mkdir()
    gone = {**scenes.KEYED, "ask_accept": ["1"], "ask_card": [scenes.MASTERCARD + ",!"]}
    users = [name.replace(" ", "-") for name in RECORDING]
    plans = {user: scenes.Plan("abandoned", gone) for user in users}
    plans["info"] = scenes.Plan("abandoned", gone, "info")
    house = scenes.House(folder / "house", plans)
    keep = Ivr._keep

    def kept(ivr: Ivr, name: str, call: LegCall, recorder: Recorder) -> None:
        user = next(r.event.from_ for r in house.records if r.call == name)
        if user in users:
            leak = RECORDING[list(RECORDING)[users.index(user)]]
            mask = recorder.mask
            recorder.mask = lambda secret, *, published: leak(recorder, mask, secret, published)  # type: ignore[method-assign]
        keep(ivr, name, call, recorder)

    log = logging.getLogger("sip")
    read = info.read_key

    def told(kind: str, body: bytes) -> Any:
        log.debug("INFO received: %s", body)
        return read(kind, body)

    with Patch.context() as patch, scenes.under_test(), scenes.everything_logged(folder / "log"):
        patch.setenv("TMPDIR", str(folder / "tmp"))
        patch.setattr(tempfile, "tempdir", None)
        patch.setattr(Ivr, "_keep", kept)
        patch.setattr(info, "read_key", told)
        on_reactor(house.play, seconds=60)
    return SimpleNamespace(folder=folder, of=lambda user: house.of(user.replace(" ", "-")))


def heard(ear, scene, user: str) -> str:
    [path] = [r.event.path for r in scene.of(user) if isinstance(r.event, RecordingWritten)]
    return "".join(tone.digit for tone in ear.tones(ear.read(Path(path))[:, 0]))


@pytest.mark.parametrize("user", ["no mask", "under the neutral tone"])
def test_a_card_that_can_be_heard_is_found(sabotaged, scenes, ear, user):
    assert scenes.MASTERCARD in heard(ear, sabotaged, user)


def test_a_mask_that_is_too_short_is_found(sabotaged, scenes, ear):
    published = "".join(
        e.value for r in sabotaged.of("too short") if isinstance(e := r.event, EntryAccepted) and e.value
    )
    assert heard(ear, sabotaged, "too short").replace("#", "") != published


def test_a_recording_left_in_the_temporary_folder_is_found(sabotaged, scenes, ear):
    [left] = (sabotaged.folder / "tmp").iterdir()
    assert scenes.MASTERCARD in "".join(tone.digit for tone in ear.tones(ear.read(left)[:, 0]))
    assert scenes.MASTERCARD not in heard(ear, sabotaged, "temporary")


def test_bodies_of_info_in_a_log_are_found(sabotaged, search):
    found = search(sabotaged.folder)
    assert [f for f in found if f.where == "log" and "digit" in f.guise], found
