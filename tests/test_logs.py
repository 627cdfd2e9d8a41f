"""The redactor: card numbers in any dress are hidden, other numbers are not."""

from __future__ import annotations

import pytest
import structlog

from ivr_sim.logs import configure, redact, redacted

VISA = "4111111111111111"


@pytest.mark.parametrize(
    "text",
    [VISA, f"card={VISA};", f"'{VISA}'", "4111 1111 1111 1111", "4111-1111-1111-1111", "345678000000007"],
)
def test_card_numbers_are_hidden(text):
    assert "1111" not in redacted(text)
    assert "0007" not in redacted(text)
    assert "[card number]" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [f"status 402 {VISA}", f"402 {VISA} 12", "1 2 3 4111 1111 1111 1111 99", f"{VISA} {VISA}", f"7-{VISA}"],
)
def test_a_number_beside_it_does_not_hide_a_card_number(text):
    assert "1111" not in redacted(text)


@pytest.mark.parametrize(
    "text", ["525588969143", "4111111111111112", "2026-11-23 18:30:00", "123456", "0" * 25]
)
def test_other_numbers_are_not(text):
    assert redacted(text) == text


def test_every_value_of_an_event_is_looked_at():
    event = redact(None, "info", {"event": f"got {VISA}", "n": int(VISA), "body": {"card": VISA}, "ok": True})
    assert VISA not in repr(event)
    assert event["ok"] is True


@pytest.fixture
def configured():
    yield configure("DEBUG")
    structlog.reset_defaults()


def test_both_logs_are_redacted(configured, capsys):
    import logging

    configure("DEBUG")
    structlog.get_logger("x").error("charge failed", number=VISA)
    logging.getLogger("lib").warning("sent %s", VISA)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("[card number]") == 2
    assert VISA not in printed.err
