"""Hostile messages against a running exchange and phone: does the next good call still complete?

    python benchmarks/fuzz.py [--datagrams 100000] [--seed 1] [--every 2000] [--settle 40]

A child process (``fuzz_house.py``) holds an exchange and an IVR line, whose phone takes calls. It gets what
``mutation.py`` makes: half of it at the exchange, an eighth of that by TCP, on connections opened and closed
in mid-message; the rest at the phone's SIP port and at the RTP and RTCP ports of a call that is up meanwhile,
from where its audio is expected. After every hundred, both must answer an OPTIONS, the exchange by TCP too;
after every ``--every``, a call is made through both: answered, heard, a key pressed, hung up by the line.

With ``--settle`` seconds of silence after each of four rounds, when all that is kept for 32 s is gone, the
child weighs itself. The first round warms up; from its end to the last's neither memory nor the blocks that
Python has allocated may grow by 5 %. Memory is judged after ``malloc_trim``: what the C allocator keeps free
between blocks in use grows with the mixture of sizes that went through it, by several per cent in one run and
by nothing in another, though nothing is held; as found it is printed beside.

Exit 1 when a call failed, a port fell silent, an error was logged, or memory grew.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fuzz_house import ACCOUNTS, DOMAIN, KEY, LEVEL, LOOPBACK, USER, Weight, judged
from fuzz_streams import Streams
from mutation import Mutator, corpus
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ivr_sim.media import MediaEngine, Samples
from ivr_sim.sip.address import Address
from ivr_sim.sip.message import Response, parse
from ivr_sim.sip.uri import NameAddr
from ivr_sim.sip.user_agent import Session, UserAgent

reactor: Any = _reactor

HOUSE = Path(__file__).with_name("fuzz_house.py")
BATCH = 100
CALL = 1000  # datagrams that a call of the attacker's lasts
PATIENCE = 5.0  # seconds for an answer, or for a step of a good call
ROUNDS = 4


class Broken(Exception):
    """What must go on did not."""


# The attack --------------------------------------------------------------------------------------------


class Ear:
    """Hears whether the line speaks."""

    def __init__(self) -> None:
        self.loud = 0

    def tick(self, heard: Samples) -> Samples | None:
        self.loud += int(np.abs(heard.astype(np.int32)).max() > LEVEL // 2)
        return None

    def key_down(self, digit: str, method: str, start: float) -> None:
        pass

    def key_up(self, digit: str, *more: object) -> None:
        pass


@dataclass(frozen=True)
class Victim:
    """A call of the attacker's: the 200 of its INVITE, and the port that takes its audio."""

    call_id: str
    answer: Response
    port: int


class Attack:
    """One run; ``answers`` counts what came back by status."""

    def __init__(self, ports: dict[str, int], seed: int) -> None:
        self.exchange, self.phone = (Address(LOOPBACK, ports[name]) for name in ("exchange", "phone"))
        self.answers: collections.Counter[str] = collections.Counter()
        self.good_calls = 0
        self._mutator = Mutator(seed, hub=self.exchange[:2], domain=DOMAIN, user=USER, messages=corpus())
        self.streams = Streams(self.exchange[:2], seed)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.settimeout(PATIENCE)
        self._engine = MediaEngine(reactor, host=LOOPBACK)
        self._agent = UserAgent(
            reactor, self._engine, server=self.exchange, username=USER, password=ACCOUNTS[USER], host=LOOPBACK
        )
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._media.bind((LOOPBACK, 0))
        self._victim: Victim | None = None
        self._pings = 0
        self._victims = 0
        self._turn = 0

    async def start(self) -> None:
        self._engine.start()
        await self._agent.start()

    async def stop(self) -> None:
        await self._agent.stop()
        self._engine.stop()
        self.streams.close()
        self._socket.close()
        self._media.close()

    async def send(self, datagrams: int, every: int) -> None:
        """Attack, and see after it whether all is well. Raises Broken."""
        for sent in range(0, datagrams, BATCH):
            if sent % CALL == 0:
                self._new_victim()
            for _ in range(min(BATCH, datagrams - sent)):
                self._send_one()
            for port in (self.exchange, self.phone):
                self._ping(port)
            self._ping_by_stream()
            if sent % every < BATCH:
                await self.good_call()
            await deferLater(reactor, 0.001)
        await self.good_call()

    def _send_one(self) -> None:
        self._turn += 1
        kind = self._turn % 4
        if kind == 0 and self._victim is not None:
            at = LOOPBACK, self._victim.port + self._turn % 8 // 4  # RTP, RTCP
            self._media.sendto(self._mutator.media(), at)
        elif self._turn % 16 == 1:
            try:
                self.streams.send(self._mutator.sip(), self._mutator.media())
            except OSError as error:
                raise Broken(f"the exchange takes no more connections: {error}") from error
        else:
            self._socket.sendto(self._mutator.sip(), (self.exchange if kind % 2 else self.phone)[:2])

    def _ping(self, at: Address) -> None:
        """Raises Broken: no answer to OPTIONS, or the wrong one."""
        self._pings += 1
        status = self._ask("OPTIONS", f"sip:{at.host}:{at.port}", f"ping-{self._pings}", at).status
        if status != 200:
            raise Broken(f"OPTIONS at {at} was answered {status}")

    def _ping_by_stream(self) -> None:
        """Raises Broken: no answer to OPTIONS by a new connection, or the wrong one."""
        ping = self._request(
            "OPTIONS", f"sip:{self.exchange.host}:{self.exchange.port}", f"tcp-{self._pings}"
        )
        try:
            came = self.streams.ask(ping.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
        except OSError as error:
            raise Broken(f"the exchange is silent by TCP: {error}") from error
        if b"SIP/2.0 200 " not in came:
            raise Broken(f"OPTIONS by TCP was answered {came[:60]!r}")

    def _ask(self, method: str, uri: str, call_id: str, at: Address, body: str = "") -> Response:
        """The final answer to a request; on the way, what else came back is counted. Raises Broken."""
        data = self._request(method, uri, call_id, body=body)
        for _ in range(3):
            self._socket.sendto(data, at[:2])
            try:
                while True:
                    came = self._socket.recv(65_535)
                    if f"Call-ID: {call_id}\r\n".encode() not in came:
                        self.answers[came[8:11].decode() if came[:4] == b"SIP/" else "request"] += 1
                    elif isinstance(answer := parse(came), Response) and answer.status >= 200:
                        return answer
            except TimeoutError:
                continue
        raise Broken(f"{at} is silent")

    def _request(
        self, method: str, uri: str, call_id: str, *more: str, to: str = "", number: int = 1, body: str = ""
    ) -> bytes:
        port = self._socket.getsockname()[1]
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {LOOPBACK}:{port};branch=z9hG4bK{call_id}-{method};rport",
            f"From: <sip:{USER}@{DOMAIN}>;tag=f",
            f"To: {to or f'<{uri}>'}",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:{USER}@{LOOPBACK}:{port}>",
            *more,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", body]).encode()

    def _new_victim(self) -> None:
        """A call whose audio comes from the attacker; the one before it is hung up, if it still is one."""
        if self._victim is not None:
            self._in_call("BYE", self._victim, number=2)
        self._victims += 1
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
            f"m=audio {self._media.getsockname()[1]} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
        call_id = f"victim-{self._victims}"
        answer = self._ask("INVITE", f"sip:5000@{DOMAIN}", call_id, self.exchange, body)
        if answer.status != 200:
            raise Broken(f"an INVITE was answered {answer.status}")
        found = re.search(rb"m=audio ([0-9]+) ", answer.body)
        self._victim = Victim(call_id, answer, int(found[1]) if found else 0)
        self._in_call("ACK", self._victim)

    def _in_call(self, method: str, call: Victim, number: int = 1) -> None:
        routes = [f"Route: {route}" for route in reversed(call.answer.headers.get_all("Record-Route"))]
        uri = str(NameAddr.parse(call.answer.headers.get("Contact") or "").uri)
        to = call.answer.headers.get("To") or ""
        data = self._request(method, uri, call.call_id, *routes, to=to, number=number)
        self._socket.sendto(data, self.exchange[:2])

    async def _dial(self, ear: Ear) -> Session:
        session = self._agent.dial("5000", ear)
        await _in_time(session.answered, "the call was not answered")
        return session

    async def good_call(self) -> None:
        """INVITE to BYE with media both ways. Raises Broken."""
        ear = Ear()
        session = await self._dial(ear)
        for _ in range(int(PATIENCE / 0.05)):
            if ear.loud >= 10:
                break
            await deferLater(reactor, 0.05)
        else:
            raise Broken("nothing was heard in a call")
        session.stream.press(KEY)
        how = await _in_time(session.ended, "a call was not hung up when its key was pressed")
        if how.by != "remote":
            raise Broken(f"a call ended otherwise than it should: {how}")
        self.good_calls += 1


async def _in_time(waited: Deferred[Any], what: str) -> Any:
    try:
        return await waited.addTimeout(PATIENCE, reactor)
    except Exception as error:
        raise Broken(f"{what}: {error or type(error).__name__}") from error


async def attack(run: Attack, weigh: Callable[[], Weight], options: argparse.Namespace) -> list[str]:
    """The whole run; what went wrong."""
    wrong: list[str] = []
    rounds = ROUNDS if options.settle else 1
    at_rest: list[Weight] = []
    try:
        await run.start()
        for _ in range(rounds):
            await run.send(options.datagrams // rounds, options.every)
            if options.settle:
                run.streams.close()
                await deferLater(reactor, options.settle)
                at_rest.append(weigh())
        wrong += judged(at_rest)
        await run.stop()
    except Broken as error:
        wrong.append(str(error))
    return wrong


def started(log: IO[bytes]) -> tuple[subprocess.Popen[bytes], dict[str, int]]:
    """The child, once it is up."""
    child = subprocess.Popen(
        [sys.executable, str(HOUSE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
    )
    assert child.stdout is not None
    return child, json.loads(child.stdout.readline() or b"{}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--datagrams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=2000, help="datagrams between good calls")
    parser.add_argument(
        "--settle", type=float, default=40.0, help="seconds of silence; 0: memory is not judged"
    )
    options = parser.parse_args()
    with tempfile.TemporaryFile() as log:
        child, ports = started(log)
        run = Attack(ports, options.seed)
        result: list[str] = []
        began = time.monotonic()

        def weigh() -> Weight:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(b"weigh\n")
            child.stdin.flush()
            return Weight(**json.loads(child.stdout.readline()))

        def over(wrong: object) -> None:
            result.extend(wrong if isinstance(wrong, list) else [str(wrong)])
            reactor.stop()

        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(attack(run, weigh, options)).addBoth(over))
        reactor.run()
        if child.poll() is not None:
            result.append(f"the process ended with {child.returncode}")
        child.communicate(timeout=30)
        log.seek(0)
        said = log.read().decode(errors="replace")
    if said.strip():
        result.append(f"{len(said.splitlines())} lines were logged, the first: {said[:2000]}")
    counts = ", ".join(f"{status} x {n}" for status, n in run.answers.most_common())
    took = time.monotonic() - began
    print(f"{options.datagrams} datagrams, seed {options.seed}, in {took:.0f} s; answers: {counts}")
    print(f"connections: {run.streams.opened}, {run.streams.refused} of them closed by the exchange")
    print(f"good calls: {run.good_calls}; load {os.getloadavg()[0]:.1f}")
    for what in result:
        print(f"BROKEN: {what}")
    print("broken" if result else "held")
    return 1 if result else 0


if __name__ == "__main__":
    sys.exit(main())
