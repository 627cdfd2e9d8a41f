"""What the interop suite shares: the telephones, the house that they call, a studio, and the report.

The telephones are programs that this project did not write, each driven by lines on its standard input
(``fixtures/softphones``); SIPp is driven by its scenarios instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from twisted.internet import reactor

from ivr_sim.diagnosis import Diagnosis
from ivr_sim.journal import CallOffered, Journal, PromptStarted, Record
from ivr_sim.merchant import Merchant
from ivr_sim.node import DOMAIN, Node, local_now
from ivr_sim.sip.address import Address
from ivr_sim.sip.tls import Tls

ROOT = Path(__file__).parents[2]
SOFTPHONES = ROOT / "fixtures" / "softphones"
REPORT = "IVR_SIM_INTEROP_REPORT"  # the file that the report goes to
PAGE = pytest.StashKey[Any]()
CARDS = yaml.load((ROOT / "fixtures" / "cards.yaml").read_text(), Loader=yaml.BaseLoader)

REACTION = 1.3  # seconds; what is keyed within one second of other keys does not answer a prompt


@dataclass(frozen=True)
class Client:
    """A telephone: what it needs, how it is called in the report, and what it can do.

    keys: the words by which it keys (``play``: tones in its own audio). limit_db: the SNR that its own
    audio path allows; G.711 alone comes to about 38 dB.
    """

    name: str
    missing: str | None
    version: Callable[[], str]
    keys: tuple[str, ...]
    holds: bool = True
    cancels: bool = True
    limit_db: float = 35.0


def _said_by(*command: str, word: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    words = (done.stdout + done.stderr).replace(",", " ").split()
    return next((w for w in words if w.startswith(word) and any(c.isdigit() for c in w)), "unknown").strip(
        "."
    )


def _pjsua2_version() -> str:
    try:
        return version("pjsua2-python")
    except PackageNotFoundError:
        return "unknown"


CLIENTS = (
    Client(
        "pjsua2",
        None if importlib.util.find_spec("pjsua2") else "pjsua2 is missing: pip install -e '.[interop]'",
        _pjsua2_version,
        ("play", "press", "info"),
    ),
    Client(
        "baresip",
        None if shutil.which("baresip") else "baresip is missing (Debian: apt install baresip)",
        lambda: _said_by("baresip", "-v", word="v"),
        ("play", "press"),
    ),
    Client(
        "linphonec",
        None if shutil.which("linphonec") else "linphonec is missing (Debian: apt install linphone-cli)",
        lambda: _said_by("linphonec", "--version", word=""),
        ("play", "press", "info"),
    ),
    Client("pyvoip", None, lambda: version("pyVoIP"), ("play",), holds=False, cancels=False, limit_db=25.0),
    Client(
        "sipp",
        None if shutil.which("sipp") else "SIPp is missing (Debian: apt install sip-tester)",
        lambda: _said_by("sipp", "-v", word="v"),
        ("play", "press", "info"),
    ),
)
WAYS = {"play": "inband", "press": "rfc4733", "info": "info"}


class Softphone:
    """A telephone's process. Its words are counted: ``answered`` and ``ended`` come once for each call."""

    def __init__(self, client: Client, server: str, user: str, password: str, *options: str) -> None:
        self.client = client
        self.user = user
        self._output: list[str] = []
        self._changed = threading.Condition()
        self._over = False
        self.process = subprocess.Popen(
            [sys.executable, str(SOFTPHONES / f"{client.name}_phone.py"), *options, server, user, password],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name=f"{client.name} {user}", daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it has said."""
        return "".join(self._output)

    def tell(self, line: str) -> None:
        """Give it a command; one that has ended takes none."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self._output.append(f"(not told: {line})\n")

    def heard(self, word: str) -> int:
        """How often it has said this."""
        return [line.strip() for line in self._output].count(word)

    def wait_for(self, word: str, times: int = 1, seconds: float = 30) -> None:
        """Until it has said this so many times."""
        with self._changed:
            self._changed.wait_for(lambda: self.heard(word) >= times or self._over, seconds)
            if self.heard(word) < times:
                why = "its process has ended" if self._over else f"{seconds} s have passed"
                raise AssertionError(
                    f"{self.client.name} did not say {word!r} {times} times: {why}. It said:\n{self.output}"
                )

    def close(self) -> None:
        """End it. The second time nothing happens."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()  # type: ignore[union-attr]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._output.append(line)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


class House:
    """An IVR on the running reactor with accounts for every telephone, and what its journal says of each.

    tls: with it, SRTP is required as well, and what is wrong is told.
    """

    def __init__(self, folder: Path, users: tuple[str, ...], *, tls: Tls | None = None) -> None:
        self.folder = folder
        self.records: dict[str, list[Record]] = {user: [] for user in users}
        self.followers: dict[str, Callable[[Record], None]] = {}
        self._callers: dict[str | None, str] = {}
        journal = self.journal = Journal(local_now)
        journal.subscribe(self._follow)
        secure: dict[str, Any] = {}
        if tls is not None:
            diagnosis = Diagnosis(reactor, journal, domain=DOMAIN, accounts=users, srtp="required")
            secure = {"tls": tls, "srtp": "required", "diagnosis": diagnosis}
        self.merchant = Merchant(reactor, folder / "services", now=local_now)
        self.node = Node(
            reactor, self.merchant, journal, data=folder, accounts=(*users, "studio", "ringer"), **secure
        )
        self.studios: list[Any] = []
        self.ringing: list[Any] = []
        self._agents: list[Any] = []

    async def start(self) -> None:
        self.merchant.start()
        await self.node.start()
        for user, on_call in (("studio", self._take), ("ringer", self._ring)):
            agent = self.node.phone(user, on_call=on_call)
            self._agents.append(agent)
            await agent.start()

    async def stop(self) -> None:
        for agent in self._agents:
            await agent.stop()
        await self.node.stop()
        await self.merchant.stop()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.node.exchange.port}"

    @property
    def tls_server(self) -> str:
        return f"127.0.0.1:{self.node.exchange.tls_port}"

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.node.exchange.port)

    def issue(self, user: str, key: str) -> None:
        """A payment key for one caller's own order."""
        self.merchant.keys.issue(
            Decimal("200.00"), "Cargo IVR", f"ord-{user}", expires_in=timedelta(hours=1), key=key
        )

    def watch(self, user: str) -> None:
        """Keep what the journal says of a caller who needs no account."""
        self.records[user] = []

    def of(self, user: str, *kinds: type) -> list[Any]:
        """The events of this caller's calls."""
        return [r.event for r in self.records[user] if isinstance(r.event, kinds)]

    def story(self, user: str) -> str:
        """What the journal says of this caller, for whoever must find out what went wrong."""
        return "\n".join(f"{r.t} {r.event}" for r in self.records[user])

    def on_prompt(self, user: str, answers: dict[str, str], key: Callable[[str], None]) -> None:
        """Key an answer while a prompt is said, the first time that it is, as fast as a person would."""
        left = dict(answers)

        def follow(record: Record) -> None:
            if isinstance(record.event, PromptStarted) and record.event.name in left:
                reactor.callLater(REACTION, key, left.pop(record.event.name))  # type: ignore[attr-defined]

        self.followers[user] = follow

    def _follow(self, record: Record) -> None:
        if isinstance(record.event, CallOffered):
            self._callers[record.call] = record.event.from_
        user = self._callers.get(record.call)
        if user in self.records:
            self.records[user].append(record)
            if user in self.followers:
                self.followers[user](record)

    def _take(self, session: Any) -> None:
        studio = import_module(".studio", __package__).Studio(session)
        self.studios.append(studio)
        session.answer(studio)

    def _ring(self, session: Any) -> None:
        self.ringing.append(session)


def until(true: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """Wait for something to become true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        threading.Event().wait(0.05)
    return value


def pause(seconds: float) -> None:
    """Let the telephones have their time."""
    threading.Event().wait(seconds)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Any:
    return pytestconfig.stash[PAGE]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PAGE] = import_module(".page", __package__).Report()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands in its rows; who has them all writes the page."""
    page, path = session.config.stash[PAGE], os.environ.get(REPORT)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[REPORT] = [(*place, *said) for place, said in page.rows.items()]
    elif path:
        versions = {c.name: c.version() if c.missing is None else "not installed" for c in CLIENTS}
        page.write(Path(path), versions)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker is done."""
    for row in getattr(node, "workeroutput", {}).get(REPORT, ()):
        node.config.stash[PAGE].row(*row)


@pytest.fixture(scope="session")
def house(on_reactor: Callable[..., Any], tmp_path_factory: Any) -> Iterator[House]:
    users = [f"{c.name}-{word}" for c in CLIENTS for word in c.keys]
    users += [c.name for c in CLIENTS] + ["one", "two", "odd"]
    made = on_reactor(lambda: House(tmp_path_factory.mktemp("house"), tuple(users)))
    try:
        on_reactor(made.start)
        yield made
    finally:
        on_reactor(made.stop)


@pytest.fixture
def phones(house: House) -> Iterator[Callable[[Client, str], Softphone]]:
    """Starts telephones, each registered when it is handed out, and ends them."""
    made: list[Softphone] = []

    def start(client: Client, user: str) -> Softphone:
        phone = Softphone(client, house.server, user, house.node.accounts[user])
        made.append(phone)
        phone.wait_for("ready")
        until(lambda: user in house.node.exchange.registrations, f"{user} registered: {phone.output}")
        return phone

    yield start
    for phone in made:
        phone.close()


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The tools of this folder."""
    studio, payment = (import_module(name, __package__) for name in (".studio", ".payment"))
    return SimpleNamespace(
        until=until, pause=pause,
        snr_db=studio.snr_db, write_keys=studio.write_keys, write_tone=studio.write_tone,
        Softphone=Softphone, House=House, Payment=payment.Payment, paid=payment.paid,
        cards=CARDS, ways=WAYS, clients={c.name: c for c in CLIENTS},
    )  # fmt: skip


def pytest_generate_tests(metafunc: Any) -> None:
    """``client``: each telephone that takes commands; a missing one is skipped, and the report says so."""
    if "client" in metafunc.fixturenames:
        driven = [c for c in CLIENTS if c.name != "sipp"]
        metafunc.parametrize("client", driven, ids=lambda c: c.name, indirect=True)


@pytest.fixture
def client(request: Any, report: Any) -> Client:
    wanted: Client = request.param
    if wanted.missing is not None:
        report.row(wanted.name, "all", "skipped", wanted.missing)
        pytest.skip(wanted.missing)
    return wanted
