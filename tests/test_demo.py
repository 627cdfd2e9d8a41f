"""`ivr-sim demo` under each of its faults: the outcome, the exit code, and what is printed.

All faults run at once in one data folder, each in a process of its own; an earlier one was killed there
while its charge was under way. The call that pays is in test_install.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from ivr_sim import openpay
from ivr_sim.ledger import Intent, Ledger
from ivr_sim.merchant import Merchant
from ivr_sim.node import local_now

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
def folder(tmp_path_factory) -> Path:
    """Where a process was killed after it sent a charge, and before it heard of it."""
    folder: Path = tmp_path_factory.mktemp("demos")
    (folder / "data").mkdir()
    ledger = Ledger(f"sqlite:///{folder / 'data' / 'ledger.sqlite3'}", now=local_now)
    merchant = Merchant(None, folder / "data" / "merchant", now=local_now)
    ledger.open(
        Intent(attempt="a-1", account=merchant.merchant_id, call="0007", order_id="killed", amount=Decimal(5))
    )
    ledger.close()
    client = openpay.create_app(
        merchant.charges, merchant_id=merchant.merchant_id, private_key="sk", public_key="pk", now=local_now
    ).test_client()
    path = f"/v1/{merchant.merchant_id}"
    card = {"card_number": "4111111111111111", "holder_name": "X", "cvv2": "123",
            "expiration_month": "12", "expiration_year": "39"}  # fmt: skip
    token = client.post(f"{path}/tokens", auth=("sk", ""), json=card).json["id"]
    charge = {"method": "card", "source_id": token, "amount": 5, "description": "x", "order_id": "killed",
              "metadata": {"attempt": "a-1"}}  # fmt: skip
    assert client.post(f"{path}/charges", auth=("sk", ""), json=charge).status_code == 200
    merchant.keys.close()
    merchant.charges.close()
    return folder


@pytest.fixture(scope="module")
def demos(folder) -> dict[str, Done]:
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


def test_the_next_demo_settles_what_a_killed_one_left(demos, folder):
    told = [e for demo in demos.values() for e in demo.journal if e["event"] == "ChargeReconciled"]
    assert told
    assert {(e["call"], e["order_id"], e["result"]) for e in told} == {("0007", "killed", "approved")}
    printed = [demo for demo in demos.values() if "for order killed found to be approved" in demo.printed]
    assert len(printed) == len(told)
    ledger = Ledger(f"sqlite:///{folder / 'data' / 'ledger.sqlite3'}", now=local_now)
    assert ledger.entries(open_only=True) == []
    assert {e.result for e in ledger.entries()} == {"approved", "declined"}
    ledger.close()


def test_demos_of_one_data_folder_have_one_merchant_and_an_order_each(demos, folder):
    merchant = Merchant(None, folder / "data" / "merchant", now=local_now)
    orders = {key.order_id for key in merchant.keys.list()}
    assert len(orders) == len(FAULTS)
    for demo in demos.values():
        assert sum(f"order {order}," in demo.printed for order in orders) == 1
    merchant.keys.close()
    merchant.charges.close()
