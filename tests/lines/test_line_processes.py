"""Line processes: a charge on each, one killed in mid-charge, the next call, and nothing left open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ivr_sim.clients import Access, Outside
from ivr_sim.lines import LineOrder, PbxAccount
from ivr_sim.lines.message import NotStarted
from ivr_sim.pipes import Frames, child_command, framed
from ivr_sim.sip.transport import Address

# A reactor of its own: children are only waited for by the main thread's.
HOUSE = """
import json, os, signal, sys
from decimal import Decimal
from pathlib import Path
import numpy as np
import soundfile
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from ivr_sim.harness import Caller, Script
from ivr_sim.harness.detour import Detour, HttpMessage
from ivr_sim.journal import CallAnswered, CallEnded, ChargeReconciled, ChargeSent, Journal, LineStarted
from ivr_sim.ledger import Ledger
from ivr_sim.logs import configure
from ivr_sim.merchant import Merchant
from ivr_sim.node import LEDGER, Node, line_users, local_now
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import CallFolders
from ivr_sim.reports.pictures import Pictures

configure("WARNING")
folder, records, held = Path(sys.argv[1]), [], Deferred()
# Keyed as soon as a prompt that the voice renders begins; told that it is approved, the caller hangs up.
CARD = {"ask_card": ["4111111111111111"], "ask_expiry": ["1230"], "ask_cvv": ["123"]}
PAY = {"amount": ["1"], "approved": ["!"], **CARD}


class Undrawn(Pictures):
    def draw(self, journal, recording, picture):
        return succeed(None)


(folder / "recorded").mkdir()
for name in Catalogue().recordable():
    soundfile.write(folder / "recorded" / f"{name}.wav", np.full(1600, 0.01), 8000)


class Openpay:
    async def ask(self, exchange):
        request = await exchange.request()
        answer = await exchange.ask(request)
        asked = HttpMessage.parse(request)
        if asked.method == "POST" and asked.path.endswith("/charges") and b"o-held" in request:
            held.callback(None)  # it has charged, and nobody hears of it
            await exchange.wait(600)
        exchange.end(answer)


def until(matching):
    found = Deferred()
    def read(record):
        if not found.called and matching(record):
            found.callback(record)
    journal.subscribe(read)
    return found


def calling(node, user, number, script):
    async def place():
        phone = node.phone(user)
        await phone.start()
        try:
            heard = await Caller(phone, journal).call(number, script)
            return heard.ended
        finally:
            await phone.stop()
    return Deferred.fromCoroutine(place())


def payment(merchant, order):
    key = merchant.keys.issue(Decimal("200.00"), "Cargo", order).key
    return Script(answers={"welcome": [key + "#"], **PAY}, by="rfc4733", barge_in=True, delay=0.1, key_ms=40,
        gap_ms=40)


async def main():
    global journal
    journal = Journal(local_now)
    journal.subscribe(records.append)
    openpay = Openpay()
    merchant = Merchant(reactor, folder / "merchant", now=local_now, to_openpay=Detour(reactor, openpay.ask))
    folders = CallFolders(
        folder / "calls", journal, reactor, words=lambda name, params: name, lines=line_users(2),
        pictures=Undrawn(reactor),
    )
    node = Node(
        reactor, merchant, journal, data=folder, folders=folders, accounts=("1001", "1002", "1003"), lines=2
    )
    told = {}
    try:
        merchant.start()
        await node.start()
        told["started"] = dict(node.crew.processes)
        paid = calling(node, "1001", "5000", payment(merchant, "o-paid"))
        first = until(lambda r: isinstance(r.event, CallAnswered))
        told["paid"] = (await first).call
        told["paid_by"] = node.crew.calls[told["paid"]]
        victim = calling(node, "1002", "5000", payment(merchant, "o-held"))
        sent = until(lambda r: isinstance(r.event, ChargeSent) and r.event.order_id == "o-held")
        call = (await sent).call
        await held
        line = node.crew.calls[call]
        again = until(lambda r: isinstance(r.event, LineStarted) and r.event.line == line)
        over = until(lambda r: isinstance(r.event, CallEnded) and r.call == call)
        settled = until(lambda r: isinstance(r.event, ChargeReconciled))
        os.kill(node.crew.processes[line], signal.SIGKILL)
        await over
        answered = until(lambda r: isinstance(r.event, CallAnswered))
        following = calling(node, "1003", "5000", Script(answers={"welcome": ["!"]}, barge_in=True))
        told["next"] = (await answered).call
        told["bye"] = (await victim).by
        await following
        await settled
        await again
        told["line"], told["call"] = line, call
        told["after"] = dict(node.crew.processes)
        await paid
    finally:
        await node.stop()
        await merchant.stop()
    told["left"] = dict(node.crew.processes)
    ledger = Ledger(f"sqlite:///{folder / LEDGER}", now=local_now)
    told["ledger"] = [(entry.order_id, entry.result) for entry in ledger.entries()]
    ledger.close()
    told["records"] = [record.as_json() for record in records]
    print(json.dumps(told))


def begin():
    Deferred.fromCoroutine(main()).addErrback(lambda f: f.printTraceback(sys.stderr)).addBoth(
        lambda _: reactor.stop()
    )
reactor.callWhenRunning(begin)
reactor.run()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("lines")
    done = subprocess.run(
        [sys.executable, "-c", HOUSE, str(folder)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, done.stderr
    return SimpleNamespace(folder=folder, errors=done.stderr, **json.loads(done.stdout.splitlines()[-1]))


def events(told: SimpleNamespace, name: str, **fields: object) -> list[dict[str, object]]:
    wanted = {"event": name, **fields}
    return [r for r in told.records if all(r.get(field) == value for field, value in wanted.items())]


@pytest.mark.sip
def test_calls_are_dealt_to_the_lines_and_paid(told):
    assert sorted(told.started) == ["ivr-1", "ivr-2"] == sorted([told.paid_by, told.line])
    (ended,) = events(told, "CallEnded", call=told.paid)
    assert ended["outcome"] == "approved"


@pytest.mark.sip
def test_each_call_has_its_folder(told):
    """Journal, recording, SIP and HTTP of one call in one place, whichever process carried it."""
    assert [r["call"] for r in events(told, "CallOffered")] == ["0001", "0002", "0003"]
    folder = told.folder / "calls" / "0001"
    assert (folder / "recording.wav").stat().st_size > 8000
    assert "INVITE" in (folder / "ladder.txt").read_text()
    assert (folder / "http.txt").read_text().count("--- ") == 3  # key, token, charge
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["event"] == "CallOffered"
    assert "4111111111111111" not in "".join(p.read_text() for p in folder.glob("*.[jtm]*"))


@pytest.mark.sip
def test_a_line_that_is_killed_ends_its_calls_only(told):
    (ended,) = events(told, "CallEnded", call=told.call)
    assert (ended["outcome"], ended["cause"], ended["by"]) == ("abandoned", "line_lost", "ivr")
    (lost,) = events(told, "LineEnded")
    assert (lost["line"], lost["why"], lost["calls"]) == (told.line, "signal 9", 1)
    assert told.bye == "remote"
    summary = (told.folder / "calls" / told.call / "summary.md").read_text()
    assert "the line's process ended in mid-call" in summary


@pytest.mark.sip
def test_the_next_call_works_and_the_line_comes_back(told):
    assert told.next not in (told.paid, told.call)
    assert told.after.keys() == told.started.keys()
    assert told.after[told.line] != told.started[told.line]


@pytest.mark.sip
def test_nothing_is_left_open(told):
    """The charge in flight is settled; every call has ended; no process stays behind."""
    assert sorted(told.ledger) == [["o-held", "approved"], ["o-paid", "approved"]]
    assert [r["call"] for r in events(told, "ChargeReconciled", result="approved")] == [told.call]
    ended = [r["call"] for r in told.records if r["event"] in ("CallEnded", "CallFailed")]
    assert sorted(ended) == [r["call"] for r in events(told, "CallOffered")]
    assert told.left == {}
    assert "Traceback" not in told.errors


def test_a_line_ends_itself_when_its_parent_is_gone():
    """What it is told by is closed: nobody else would ever end it."""
    done = subprocess.run(child_command("ivr_sim.lines.worker"), input=b"", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_a_line_says_that_cannot_start(tmp_path):
    """It says why and ends; nothing that it was told is on its command line."""
    order = LineOrder(
        account=PbxAccount(user="ivr-1", password="s", server=Address("127.0.0.1", 9)),
        access=Access(authorizer=Outside("", "", ""), openpay=Outside("", "", ""), stand_in=True),
        data=tmp_path,
        shop="Tienda",
        language="xx-XX",
        host="127.0.0.1",
        rtp_ports=(20000, 20100),
    )
    with subprocess.Popen(
        child_command("ivr_sim.lines.worker"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(framed(order))
        process.stdin.flush()
        (said,) = Frames().feed(process.stdout.read())
        assert process.wait(60) == 0
    assert isinstance(said, NotStarted)
    assert "xx-XX" in said.why


STILLBORN = """
import sys
from ivr_sim.lines import keeper
keeper.COMMAND, keeper.BACKOFF = [sys.executable, "-c", "raise SystemExit(7)"], (0.01,)
from ivr_sim.cli import main
sys.argv = ["ivr-sim", "serve", "--lines", "1", "--sip-port", "0"]
main()
"""


def test_serve_says_why_there_are_no_lines(tmp_path):
    environ = {**os.environ, "IVR_SIM_AUTHORIZER_PORT": "0", "IVR_SIM_OPENPAY_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", STILLBORN],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=environ,
    )
    assert done.returncode == 2
    assert done.stderr == "ivr-sim: the line ivr-1 could not be started: exit code 7\n"
    assert "ivr-1 has ended (exit code 7) with no call, and is given up" in " ".join(done.stdout.split())


def test_a_line_loads_no_web_framework_and_no_database():
    """What it loads is in its memory for each line, and what runs in it can make a tick late."""
    look = "import sys, ivr_sim.lines.worker; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"flask", "werkzeug", "sqlalchemy", "jinja2", "authorizer", "scipy", "PIL"})
    assert "twisted" in loaded
