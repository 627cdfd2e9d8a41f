"""The redactor: card numbers in any dress are hidden, other numbers are not."""

from __future__ import annotations

import gc
import logging
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from ivr_sim.cards import luhn
from ivr_sim.logs import configure, redact, redacted

VISA = "4111111111111111"


@pytest.mark.parametrize(
    "text",
    [
        VISA,
        f"card={VISA};",
        f"'{VISA}'",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "345678000000007",
        "4111\n1111\r\n1111\t1111",
        "4111 - 1111 - 1111 - 1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111\u20111111\u20111111\u20111111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111111111111\n111",
        repr(VISA.encode()),
        "3456 780000 00007",
    ],
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
    "text",
    [
        "525588969143",
        "4111111111111112",
        "2026-11-23 18:30:00",
        "123456",
        "0" * 25,
        "127.0.0.1:5060 127.0.0.1:16384",
        "1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5",
    ],
)
def test_other_numbers_are_not(text):
    assert redacted(text) == text


def test_every_value_of_an_event_is_looked_at():
    said = {
        "event": f"got {VISA}", "n": int(VISA), "f": float(VISA), "d": Decimal(VISA),
        "body": {"card": [VISA]}, "raw": VISA.encode(), "error": ValueError(VISA),
        "path": Path("/tmp") / VISA,
        "big": (1, int(VISA)), "ok": True, "none": None, "ms": 41, "at": 0.25, "plain": ["a", 1],
    }  # fmt: skip
    event = redact(None, "info", said.copy())
    assert VISA not in repr(event)
    assert [event[name] for name in ("ok", "none", "ms", "at", "plain")] == [True, None, 41, 0.25, ["a", 1]]


@pytest.mark.parametrize(
    "beyond",
    [VISA[:12], f"0000{VISA}0000", "4111111111111112", ".".join(VISA), "['4', '1', '1', '1', '1', '1']"],
)
def test_what_is_beyond_it(beyond):
    """It is the second line: parts, numbers within longer ones or with a wrong digit are not known to it."""
    assert redacted(beyond) == beyond


@given(st.text("0123456789 -\n.", max_size=80))
@settings(deadline=None)
def test_any_digits_are_read_in_one_pass_and_only_digits_vanish(text):
    hidden = redacted(text)
    assert redacted(hidden) == hidden
    left = hidden.replace("[card number]", "")
    assert len(left) <= len(text)
    if hidden == text:
        assert not any(luhn(run) for run in re.findall(r"(?<![0-9 \n-])[0-9]{13,19}(?![0-9 \n-])", text))


@pytest.fixture
def configured():
    yield configure("DEBUG")
    structlog.reset_defaults()


def test_both_logs_are_redacted(configured, capsys):
    configure("DEBUG")
    structlog.get_logger("x").error("charge failed", number=VISA)
    logging.getLogger("lib").warning("sent %s", VISA)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("[card number]") == 2
    assert VISA not in printed.err


def fail() -> None:
    raise KeyError(VISA)


def test_exceptions_are_redacted_and_show_no_variables(configured, capsys):
    configure("DEBUG")
    local = "a local variable"
    try:
        fail()
    except KeyError:
        structlog.get_logger("x").exception("broken")
        logging.getLogger("lib").exception("broken")
    err = capsys.readouterr().err
    assert err.count("[card number]") == 2
    assert err.count("Traceback") == 2
    assert VISA not in err
    assert local not in err


def test_what_goes_wrong_in_twisted_is_redacted(configured, capsys):
    """Left alone, Twisted prints what nobody handles."""
    configure("WARNING")
    deferred: Deferred[None] = Deferred()
    deferred.addCallback(lambda _: fail())
    deferred.callback(None)
    del deferred
    gc.collect()
    err = capsys.readouterr().err
    assert "Unhandled error in Deferred" in err
    assert "[card number]" in err
    assert VISA not in err


def test_a_crash_is_redacted(tmp_path):
    code = (
        "import sys; from ivr_sim.logs import configure; configure(); "
        "sys.argv.append('1'); raise SystemError(sys.argv[1] * 4)"
    )
    crashed = subprocess.run(
        [sys.executable, "-c", code, "4242"], capture_output=True, text=True, timeout=60, check=False
    )
    assert crashed.returncode == 1
    assert crashed.stderr.splitlines()[-1] == "SystemError: [card number]"
    assert "4242424242424242" not in crashed.stderr
