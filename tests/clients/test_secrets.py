"""No digit of a card and no CVV in logs, exceptions, tracebacks, or the stand-in's database."""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from flask import Flask, Response, request
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from ivr_sim.cards import Card
from ivr_sim.clients import OpenpayAcquirer, OpenpayClient
from ivr_sim.dialogue.services import Payable
from ivr_sim.wsgi import WebServer

Run = Callable[..., Any]

NUMBERS = ("4111111111111111", "4222222222222220", "4012888888881881", "345678000000007")
CVV = {15: "7391", 16: "739"}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    """All that was logged or printed so far, by whatever logger."""
    caplog.set_level(logging.DEBUG)
    events: list[str] = []
    observer = events.append
    globalLogPublisher.addObserver(lambda event: observer(repr(event)))
    with structlog.testing.capture_logs() as captured:

        def all_() -> str:
            streams = capfd.readouterr()
            return "\n".join([*events, repr(captured), caplog.text, streams.out, streams.err])

        yield all_


def show(error: BaseException | None) -> str:
    """An exception as the most talkative handler would show it: every variable of our frames, and the whole
    chain, what was suppressed in it too."""
    shown = []
    while error is not None:
        shown += [repr(error), str(error), repr(vars(error))]
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in trace.stack if f"{os.sep}tests{os.sep}" not in frame.filename]
        assert any(frame.locals for frame in frames)
        shown += [*trace.format_exception_only(), *(repr(frame.locals) for frame in frames)]
        error = error.__context__
    return "\n".join(shown)


def check(text: str, number: str) -> None:
    """Neither the number nor the better part of it, nor the CVV standing alone."""
    for part in (number, number[:-4], number[6:]):
        assert part not in text
    assert not re.search(rf"(?<![0-9A-Za-z]){CVV[len(number)]}(?![0-9A-Za-z])", text)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_whole_way_of_a_card(
    openpay: SimpleNamespace,
    reactor_run: Run,
    make_card: Any,
    payable: Payable,
    said: Any,
    tmp_path: Path,
    number: str,
) -> None:
    client = OpenpayClient(reactor, openpay.url, openpay.merchant_id, openpay.private_key)
    card = make_card(number)
    outcome = reactor_run(lambda: OpenpayAcquirer(client, reactor).charge(payable, card, attempt="a"))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert kept
    check(kept.decode("latin-1"), number)
    check(repr(openpay.store.charges()), number)
    check(repr(outcome) + said(), number)


def broken(kind: str) -> Flask:
    """An Openpay that fails in one way or other, and that repeats what it was sent."""
    app = Flask("broken")

    @app.post("/v1/<merchant>/tokens")
    def tokens(merchant: str) -> Response:
        body = request.get_data(as_text=True)
        match kind:
            case "echo_400":
                return Response(json.dumps({"error_code": 1001, "description": body}), 400)
            case "echo_text":
                number = (request.json or {})["card_number"]
                return Response(json.dumps({"error_code": 1001, "description": number}), 400)
            case "echo_200":
                return Response(body, 200)
            case _:
                return Response("x" * 100_000, 200)

    return app


@pytest.mark.parametrize("kind", ["echo_400", "echo_text", "echo_200", "too_large"])
def test_an_openpay_that_repeats_what_it_is_sent(
    web: Callable[..., WebServer], reactor_run: Run, make_card: Any, said: Any, kind: str
) -> None:
    client = OpenpayClient(reactor, f"{web(broken(kind)).url}/v1", "m1", "sk_1")
    with pytest.raises(Exception, match="Openpay") as failed:
        reactor_run(lambda: client.create_token(make_card(), "X"))
    check(show(failed.value), NUMBERS[0])
    assert "c2tfMTo" not in show(failed.value)  # sk_1: in base64
    check(said(), NUMBERS[0])


def test_an_openpay_that_is_not_there(
    reactor_run: Run, make_card: Callable[..., Card], payable: Payable, said: Any
) -> None:
    client = OpenpayClient(reactor, "http://127.0.0.1:1/v1", "m1", "sk_1")
    with pytest.raises(Exception, match="Openpay") as failed:
        reactor_run(lambda: OpenpayAcquirer(client, Clock()).charge(payable, make_card(), attempt="a"))
    check(show(failed.value), NUMBERS[0])
    check(said(), NUMBERS[0])


def test_a_stand_in_that_breaks(
    openpay: SimpleNamespace, reactor_run: Run, make_card: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: Any, merchant_id: str, asked: Any, now: Any) -> Any:
        raise RuntimeError(f"the number was {asked.card_number.get_secret_value()}")

    monkeypatch.setattr("ivr_sim.openpay.app.create_token", fail)
    client = OpenpayClient(reactor, openpay.url, openpay.merchant_id, openpay.private_key)
    with pytest.raises(Exception, match="HTTP 500, error 1000") as failed:
        reactor_run(lambda: client.create_token(make_card(), "X"))
    check(show(failed.value), NUMBERS[0])
    logged = said()
    assert "RuntimeError" in logged
    check(logged, NUMBERS[0])
