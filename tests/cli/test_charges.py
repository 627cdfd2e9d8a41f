"""`ivr-sim charges`: what a data folder's ledger holds, and what Openpay says of what is open in it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ivr_sim.ledger import Intent, Ledger
from ivr_sim.merchant import Merchant
from ivr_sim.openpay import OpenpayError
from ivr_sim.openpay.charges import create_charge
from ivr_sim.openpay.models import ChargeRequest, TokenRequest
from ivr_sim.openpay.tokens import create_token

LONG_AGO = datetime(2026, 1, 5, 18, 0, 5, tzinfo=UTC)  # noon and five seconds in Mexico
APPROVED, DECLINED = "4111111111111111", "4222222222222220"


class Folder:
    """A data folder, and what calls left in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(f"sqlite:///{path / 'ledger.sqlite3'}", now=lambda: LONG_AGO)
        merchant = Merchant(None, path / "merchant", now=lambda: LONG_AGO)
        self.account = merchant.merchant_id
        self._store = merchant.charges
        self._drawn = random.Random(7)

    def intend(self, attempt: str, order_id: str, *, account: str | None = None) -> None:
        """A charge that was about to be sent when the process ended."""
        amount = Decimal("200.00")
        mine = account or self.account
        self.ledger.open(Intent(attempt=attempt, account=mine, call="0001", order_id=order_id, amount=amount))

    def charge(self, attempt: str, order_id: str, number: str = APPROVED) -> None:
        """The charge as Openpay knows it."""
        asked = {"card_number": number, "holder_name": "X", "cvv2": "123",
                 "expiration_month": "12", "expiration_year": "29"}  # fmt: skip
        token = create_token(self._store, self.account, TokenRequest.model_validate(asked), LONG_AGO)
        request = {"method": "card", "amount": Decimal("200.00"), "description": "x", "order_id": order_id,
                   "source_id": token.id, "metadata": {"attempt": attempt}}  # fmt: skip
        with suppress(OpenpayError):  # a decline
            create_charge(
                self._store, self.account, ChargeRequest.model_validate(request), LONG_AGO,
                ivr_phone_number="1", randbelow=self._drawn.randrange,
            )  # fmt: skip

    def results(self) -> dict[str, str | None]:
        return {entry.attempt: entry.result for entry in self.ledger.entries()}

    def __call__(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ivr_sim", "charges", "--data", str(self.path), *args],
            capture_output=True, text=True, encoding="utf-8", timeout=100,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
        )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.ledger.close()


def words(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_where_nothing_was_ever_charged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ivr_sim", "charges", "--settle", "--json", str(tmp_path / "report.json")],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"no charges yet: there is no {tmp_path}/.ivr-sim/ledger.sqlite3\n"
    assert json.loads((tmp_path / "report.json").read_text()) == {"v": 1, "open": 0, "charges": []}
    assert not (tmp_path / ".ivr-sim").exists()


def test_open_ones_are_listed_and_settled_ones_with_all(folder: Folder, tmp_path: Path) -> None:
    folder.intend("a-1", "ord-1")
    folder.intend("a-2", "ord-\x1b[2J")
    folder.intend("a-3", "o" * 100)
    folder.ledger.settle("a-3", "declined", error_code=3001)
    report = tmp_path / "report.json"
    done = folder("--json", str(report))
    assert (done.returncode, done.stderr) == (1, "")
    assert words(done.stdout) == [
        ["opened", "call", "order", "amount", "attempt", "account", "result", "charge"],
        ["2026-01-05", "12:00:05", "0001", "ord-1", "200.00", "MXN", "a-1", folder.account, "open"],
        ["2026-01-05", "12:00:05", "0001", "ord-�[2J", "200.00", "MXN", "a-2", folder.account, "open"],
        ["2", "open,", "1", "settled", "in", f"{tmp_path}/ledger.sqlite3"],
    ]
    listed = json.loads(report.read_text())
    assert (listed["v"], listed["open"], len(listed["charges"])) == (1, 2, 2)
    assert listed["charges"][0] == {
        "attempt": "a-1", "account": folder.account, "call": "0001", "order_id": "ord-1",
        "amount": "200.00", "currency": "MXN", "opened": "2026-01-05T12:00:05-06:00", "settled": None,
        "result": None, "charge_id": None, "error_code": None,
    }  # fmt: skip
    every = folder("--all")
    assert every.returncode == 1
    [line] = [line for line in words(every.stdout) if "a-3" in line]
    assert line[3:] == ["o" * 100, "200.00", "MXN", "a-3", folder.account, "declined", "(3001)"]


def test_nothing_open_is_exit_0(folder: Folder) -> None:
    folder.intend("a-1", "ord-1")
    folder.ledger.settle("a-1", "approved", charge_id="trx")
    for args in ([], ["--settle"]):
        done = folder(*args)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"0 open, 1 settled in {folder.path}/ledger.sqlite3\n"


def test_the_folders_own_merchant_settles_what_is_open(folder: Folder) -> None:
    """Completed, declined, paid by another try; and one of another account, about whom it cannot be asked."""
    for attempt, order, number in (("a-1", "ord-1", APPROVED), ("a-2", "ord-2", DECLINED)):
        folder.intend(attempt, order)
        folder.charge(attempt, order, number)
    folder.intend("a-3", "ord-3")
    folder.charge("another", "ord-3")
    settled = folder("--settle")
    assert (settled.returncode, settled.stderr) == (0, ""), settled.stdout
    assert folder.results() == {"a-1": "approved", "a-2": "declined", "a-3": "already_paid"}
    lines = {line[6]: line[8:] for line in words(settled.stdout) if "MXN" in line}
    assert lines["a-1"][0] == "approved"
    assert lines["a-1"][1].startswith("tr")
    assert lines["a-2"][:2] == ["declined", "(3001)"]
    assert "0 open, 3 settled" in settled.stdout
    folder.intend("a-4", "ord-1", account="mofsomebodyelse")
    other = folder("--settle")
    assert (other.returncode, other.stderr) == (1, "")
    assert f"1 open of another account than {folder.account}" in other.stdout
    assert "mofsomebodyelse" in other.stdout
    assert folder.results()["a-4"] is None


@pytest.fixture
def elsewhere() -> Iterator[Callable[[int, Any], str]]:
    """An Openpay elsewhere that always gives one answer; its URL."""
    servers = []

    def start(status: int, body: Any) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_another_openpay_settles_its_own(folder: Folder, elsewhere: Callable[[int, Any], str]) -> None:
    folder.intend("a-1", "ord-1", account="mreal")
    charge = {"id": "trx", "status": "completed", "amount": 200.00, "order_id": "ord-1",
              "authorization": "801585", "metadata": {"attempt": "a-1"}}  # fmt: skip
    done = folder(
        "--settle", "--openpay", elsewhere(200, [charge]), "--merchant-id", "mreal", IVR_OPENPAY_KEY="sk_x"
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert folder.results() == {"a-1": "approved"}
    assert "sk_x" not in done.stdout


def test_an_openpay_that_cannot_be_asked_is_exit_2(
    folder: Folder, elsewhere: Callable[[int, Any], str]
) -> None:
    folder.intend("a-1", "ord-1", account="mreal")
    refusal = {
        "http_code": 401,
        "error_code": 1002,
        "description": "no",
        "category": "request",
        "request_id": "1",
    }
    url = elsewhere(401, refusal)
    real = ["--settle", "--openpay", url, "--merchant-id", "mreal"]
    for args, environment, why in (
        (real, {"IVR_OPENPAY_KEY": "sk_secret"}, "error 1002"),
        (real, {"IVR_OPENPAY_KEY": ""}, "set IVR_OPENPAY_KEY"),
        (["--openpay", url, "--merchant-id", "mreal"], {}, "--settle"),
        (["--settle", "--openpay", url], {}, "--merchant-id"),
        (["--settle", "--openpay", "http://example.com/v1", "--merchant-id", "m"],
         {"IVR_OPENPAY_KEY": "sk_secret"}, "https"),
    ):  # fmt: skip
        if "example.com" in " ".join(args):
            folder.intend("a-2", "ord-1", account="m")
        done = folder(*args, **environment)
        assert done.returncode == 2, (args, done.stdout, done.stderr)
        assert why in done.stderr
        assert "Traceback" not in done.stderr
        assert "sk_secret" not in done.stdout + done.stderr
    assert set(folder.results().values()) == {None}


def test_a_ledger_that_is_none_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_text("no database" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "ivr_sim", "charges", "--data", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ivr-sim: the ledger's database cannot be opened")
