"""What a crash could show while a card is in flight: variables, failures, objects; and a replay's verdict."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from twisted.internet import reactor
from twisted.python.failure import Failure

import dtmf
from ivr_sim.cards import Brand
from ivr_sim.clients.http import Body, HttpClient
from ivr_sim.dialogue import payment
from ivr_sim.harness import Manner, Replayer, find_cases
from ivr_sim.journal import ChargeSent, ChargeSettled, KeyPressed, Record
from ivr_sim.openpay.bank import TestCard

pytestmark = pytest.mark.sip

TABLES = (TestCard, Brand)
OURS = ("ivr_sim", "dtmf", "authorizer")


def keyed(scenes: Any, card: str) -> str:
    return f"{{key}}# 1 {card} {scenes.EXPIRY} {scenes.CODE}"


def variables(frames: Any) -> str:
    """Every variable of every frame but those of the tests, as a talkative handler shows them."""
    summary = traceback.StackSummary.extract(frames, capture_locals=True)
    shown = [f for f in summary if f"{os.sep}tests{os.sep}" not in f.filename]
    return "\n".join(f"{f.name} {name}={value}" for f in shown for name, value in (f.locals or {}).items())


def chain(error: BaseException | None) -> str:
    """An exception with all that led to it: messages, and the variables of their frames."""
    told = []
    while error is not None:
        told.append(f"{error!r} {error} {vars(error)!r}")
        told.append(variables(traceback.walk_tb(error.__traceback__)))
        if error.__traceback__ is not None:
            told.append(Failure(error).getTraceback(detail="verbose"))
        error = error.__cause__ or error.__context__
    return "\n".join(told)


@pytest.mark.parametrize("breaks", ["nothing", "the client", "the body", "500", "400", "200"])
def test_variables_while_a_card_is_in_flight(on_reactor, tmp_path, monkeypatch, scenes, search, breaks):
    """At each event of a call: the stack with its variables, and the exception that is being handled."""
    card = {"500": "inband", "400": "rfc4733", "200": "info"}.get(breaks)
    number = scenes.ECHOED[card] if card else scenes.MASTERCARD
    handled: list[str] = []

    with (tmp_path / "variables").open("w") as out:

        def watch(record: Record) -> None:
            if isinstance(record.event, KeyPressed):
                return  # there, a variable has the key: nowhere else could it be
            print(variables(traceback.walk_stack(None)), file=out)
            error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
            if error is not None:
                handled.append(type(error).__name__)
                print(chain(error), file=out)
            if isinstance(record.event, ChargeSent):
                faulthandler.dump_traceback(out)

        def place(error: BaseException) -> str:
            handled.append(type(error).__name__)
            print(chain(error), file=out)
            return ""

        with scenes.under_test(), scenes.everything_logged(tmp_path / "log"), monkeypatch.context() as patch:
            patch.setattr(payment, "place", place)
            if breaks == "the client":
                patch.setattr(HttpClient, "request", raises_once_asked_for_a_token(HttpClient.request))
            if breaks == "the body":
                patch.setattr(Body, "startProducing", raises_with_a_card(Body.startProducing))
            records = on_reactor(scenes.replayed, tmp_path, keyed(scenes, number), watch=watch)
    if breaks == "nothing":
        assert records[-1].event.outcome == "approved"
    else:
        assert any(isinstance(r.event, ChargeSettled) and r.event.result != "approved" for r in records)
        assert handled
    assert (tmp_path / "variables").stat().st_size > 10_000
    assert search(tmp_path) == []


def raises_once_asked_for_a_token(request: Any) -> Any:
    async def asked(client: Any, method: str, url: str, **more: Any) -> Any:
        if url.endswith("/tokens"):
            raise RuntimeError("nobody foresaw this")
        return await request(client, method, url, **more)

    return asked


def raises_with_a_card(start: Any) -> Any:
    def started(body: Body, consumer: Any) -> Any:
        if "card_number" in str(body._Body__content):
            raise RuntimeError("nobody foresaw this")
        return start(body, consumer)

    return started


def test_objects_show_nothing_of_what_was_keyed(on_reactor, tmp_path, scenes, search):
    """repr and str of everything of ours that is alive: in the midst of a card, and when it is charged."""
    shown: list[str] = []
    keys: list[Record] = []

    def show() -> None:
        for thing in gc.get_objects():
            # Test cards and prefixes of brands stand in the source, whatever is keyed.
            if str(type(thing).__module__).partition(".")[0] in OURS and not isinstance(thing, TABLES):
                shown.append(f"{thing!r} {thing}")

    def watch(record: Record) -> None:
        if isinstance(record.event, KeyPressed):
            keys.append(record)
        if isinstance(record.event, ChargeSent) or (isinstance(record.event, KeyPressed) and len(keys) == 18):
            try:
                show()
            except Exception as error:  # the journal would only log it
                shown.append(repr(error))

    gc.freeze()  # what earlier tests left is not looked at: their payment keys may look like part of a card
    try:
        with scenes.under_test():
            on_reactor(scenes.replayed, tmp_path, keyed(scenes, scenes.MASTERCARD), watch=watch)
    finally:
        gc.unfreeze()
    (tmp_path / "objects").write_text("\n".join(shown))
    assert len(shown) > 200
    assert any("CardNumber(" in thing for thing in shown)
    assert search(tmp_path) == []


def test_the_verdict_of_a_replay(on_reactor, tmp_path, scenes, search):
    """The recording that is replayed holds a card, as fixtures do; what comes of it does not."""
    fixture, data, out = tmp_path / "fixture", tmp_path / "data", tmp_path / "out"
    fixture.mkdir()
    out.mkdir()
    scenes.short_prompts(data)
    words = f"912345# 1 {scenes.MASTERCARD} {scenes.EXPIRY} {scenes.CODE}".split()
    sounds = [dtmf.generate(word, tone_ms=80, gap_ms=80, lead_ms=1500, tail_ms=1000) for word in words]
    soundfile.write(fixture / "call.wav", np.concatenate([*sounds, np.zeros(160000)]), 8000)
    given = '{key: "912345", amount: "200.00", order_id: ord-x, description: Cargo IVR}'
    (fixture / "call.call.yaml").write_text(
        f"version: 1\nwav: call.wav\nrecorded_on: {scenes.whole_second():%Y-%m-%d}\n"
        f"given: {given}\nexpect: {{outcome: declined, entries: {{accept: '2'}}}}\n"
    )

    async def replay() -> Any:
        replayer = Replayer(reactor, Manner(data=data))
        try:
            [case] = find_cases([fixture])
            return (await replayer.replay(case)).verdict
        finally:
            await replayer.stop()

    with scenes.under_test(), scenes.everything_logged(out / "log"):
        verdict = on_reactor(replay, seconds=60)
    assert (verdict.verdict, verdict.outcome) == ("fail", "approved")
    (out / "verdict.json").write_text(json.dumps(asdict(verdict)))
    (out / "verdict.txt").write_text(f"{verdict!r} {verdict.failure}")
    assert search(out) == []
    assert search(data) == []


def test_the_searched_folder_is_not_empty(tmp_path, search):
    """The search of a folder finds what is in it, however deep."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    Path(deep, "x").write_text("5105105105105100")
    assert [f.where for f in search(tmp_path)]
