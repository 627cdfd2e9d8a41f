"""`ivr-sim demo` under each of its faults: the outcome, the exit code, and what is printed.

All faults run at once, each in a process of its own; the call that pays is in test_install.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.sip

FAULTS = {
    "authorizer_down": ("authorizer_failed", "connect"),
    "authorizer_late": ("authorizer_failed", "timeout"),
    "card_declined": ("declined", "code_3001"),
}
LANGUAGES = {"authorizer_down": "en-US", "authorizer_late": "es-MX", "card_declined": "es-MX"}


@dataclass
class Done:
    code: int
    printed: str
    errors: str
    journal: list[dict[str, object]]


@pytest.fixture(scope="module")
def demos(tmp_path_factory) -> dict[str, Done]:
    folder = tmp_path_factory.mktemp("demos")
    started = {
        fault: subprocess.Popen(
            [
                sys.executable, "-m", "ivr_sim", "demo", "--fault", fault, "--out", fault, "--data", "data",
                "--language", LANGUAGES[fault],
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", cwd=folder,
            env={"PYTHONIOENCODING": "utf-8"},
        )
        for fault in FAULTS
    }  # fmt: skip
    done = {}
    for fault, process in started.items():
        printed, errors = process.communicate(timeout=110)
        lines = (Path(folder) / fault / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        done[fault] = Done(process.returncode, printed, errors, [json.loads(line) for line in lines])
    return done


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_as_it_must(demos, fault):
    outcome, cause = FAULTS[fault]
    demo = demos[fault]
    assert demo.code == 1, demo.printed + demo.errors
    assert f"verdict:   {outcome}" in demo.printed
    assert "charges:   0 completed" in demo.printed
    [ended] = [e for e in demo.journal if e["event"] == "CallEnded"]
    assert (ended["outcome"], ended["cause"]) == (outcome, cause)
    assert [e["seq"] for e in demo.journal] == list(range(1, len(demo.journal) + 1))


def test_a_demo_speaks_and_prints_its_language(demos):
    english, spanish = demos["authorizer_down"].printed, demos["authorizer_late"].printed
    assert "«Please enter your payment key, followed by the pound key.»" in english
    assert "You were not charged during this call." in english
    assert "«Marque su clave de pago" in spanish
    assert "En esta llamada no se hizo ningún cargo." in spanish


def test_a_demo_prints_no_card_digit_and_no_error(demos):
    for demo in demos.values():
        assert demo.errors == ""
        assert "4222" not in demo.printed
        assert "4222" not in json.dumps(demo.journal)
        assert "•" * 16 in demo.printed or "card_number" not in demo.printed


def test_a_demo_says_how_long_the_authorizer_took(demos):
    [late] = [e for e in demos["authorizer_late"].journal if e["event"] == "AuthorizerReplied"]
    assert 5000 <= late["ms"] < 5500
    assert f"no answer, timeout, {late['ms']} ms" in demos["authorizer_late"].printed
