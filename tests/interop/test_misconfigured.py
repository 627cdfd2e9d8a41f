"""Softphones that we did not write, set up wrongly: each gets its plain sentence, and no other.

One of them is right: PJSIP turns to TCP when its request is long, and must find it closed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ivr_sim.diagnosis import Diagnosis
from ivr_sim.journal import Finding, Journal, Record
from ivr_sim.media import MediaEngine
from ivr_sim.node import local_now, local_today
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.tls import Tls, self_signed
from ivr_sim.sip.user_agent import UserAgent

pytestmark = [pytest.mark.interop, pytest.mark.sip]

HERE = Path(__file__).parent
USER, PASSWORD = "1001", "tomavilune"
BARESIP_MODULES = next(Path("/usr").glob("lib*/baresip/modules"), Path("/usr/local/lib/baresip/modules"))


class Stage:
    """An exchange and a line that is always busy, with a diagnosis."""

    def __init__(self, folder: Path) -> None:
        self.certificate = self_signed(folder, ["127.0.0.1"], local_today())
        self.records: list[Record] = []
        self.journal = Journal(local_now)
        self.journal.subscribe(self.records.append)

    async def start(self) -> None:
        self.engine = MediaEngine(reactor)
        self.engine.start()
        self.diagnosis = Diagnosis(reactor, self.journal, domain="ivr.test", accounts=(USER,))
        self.exchange = Exchange(
            reactor,
            accounts={USER: PASSWORD, "ivr": PASSWORD},
            lines=["ivr"],
            on_event=self.diagnosis.exchange_event,
            tls=Tls(0, *self.certificate),
        )
        self.exchange.start()
        self.diagnosis.start("127.0.0.1", self.exchange.port)
        self.line = UserAgent(
            reactor,
            self.engine,
            server=Address("127.0.0.1", self.exchange.port),
            username="ivr",
            password=PASSWORD,
            on_call=self.diagnosis.watching(lambda session: session.reject(486)),
            on_refused=self.diagnosis.call_refused,
        )
        await self.line.start()

    async def stop(self) -> None:
        await self.line.stop()
        self.diagnosis.stop()
        await self.exchange.stop()
        self.engine.stop()

    def found(self) -> list[str]:
        return [record.event.code for record in self.records if isinstance(record.event, Finding)]


@pytest.fixture
def stage(on_reactor: Callable[..., Any], tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "tls")
    on_reactor(made.start)
    yield made
    on_reactor(made.stop)


@pytest.mark.skipif(find_spec("pjsua2") is None, reason="pjsua2 is missing: pip install -e '.[interop]'")
@pytest.mark.parametrize(
    ("wrong", "password", "registration", "call", "codes"),
    [
        ("tcp", PASSWORD, "200", "486", []),
        ("tls", PASSWORD, "200", "486", []),
        ("", "wrong", "403", None, ["wrong_password"]),
        ("srtp", PASSWORD, "200", "488", ["srtp_only"]),
        ("g722", PASSWORD, "200", "488", ["no_common_codec"]),
        ("long", PASSWORD, "200", "486", []),
        ("", PASSWORD, "200", "486", []),
    ],
)
def test_pjsua2(on_reactor, stage, wrong, password, registration, call, codes) -> None:
    port, how = stage.exchange.port, wrong.split()
    if wrong == "tls":
        port, how = stage.exchange.tls_port, ["tls", str(stage.certificate[0])]
    command = [sys.executable, str(HERE / "misconfigured_pjsua2.py"), str(port), USER, password]
    done = subprocess.run(command + how, capture_output=True, text=True, timeout=40, check=True)
    said = dict(line.split()[:2] for line in done.stdout.splitlines() if line.startswith(("registr", "call")))
    assert said == {"registration": registration} | ({"call": call} if call else {})
    assert on_reactor(stage.found) == codes


BARESIP = """\
poll_method epoll
sip_listen 127.0.0.1:0
audio_player aubridge,nil
audio_source aufile,{folder}/silence.wav
audio_alert aubridge,nil
module_path {modules}
module g711.so
module srtp.so
module aufile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
"""


@pytest.mark.skipif(
    shutil.which("baresip") is None, reason="baresip is missing (Debian: apt install baresip)"
)
@pytest.mark.parametrize(
    ("account", "said", "codes"),
    [
        (";transport=tcp>", "200 OK", []),
        (";transport=tls>", "Register: Protocol error", ["tls_only"]),
        ("tls port", "200 OK", []),
        (">;auth_pass=wrong", "403 Forbidden", ["wrong_password"]),
    ],
)
def test_baresip(on_reactor, stage, tmp_path, account, said, codes) -> None:
    port = stage.exchange.port
    if account == "tls port":
        port, account = stage.exchange.tls_port, ";transport=tls>"
    authorities = f"sip_cafile {stage.certificate[0]}\n"
    (tmp_path / "config").write_text(BARESIP.format(folder=tmp_path, modules=BARESIP_MODULES) + authorities)
    password = "" if "auth_pass" in account else f";auth_pass={PASSWORD}"
    uri = f"<sip:{USER}@127.0.0.1:{port}{account};auth_user={USER}{password};regint=300"
    (tmp_path / "accounts").write_text(uri + "\n")
    (tmp_path / "contacts").write_text("")
    with wave.open(str(tmp_path / "silence.wav"), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(8000)
        wav.writeframes(bytes(16_000))
    program = subprocess.Popen(
        ["baresip", "-f", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert program.stdout is not None
        output = ""
        for line in program.stdout:  # ends when it has said it; the test's own time limit is behind this
            output += line
            if said in line:
                break
        assert said in output
        assert on_reactor(stage.found) == codes
    finally:
        program.terminate()
        program.wait(10)
        program.stdout.close()
