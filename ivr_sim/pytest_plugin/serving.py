"""`ivr-sim serve` beside the tests: up before the first, gone with the last, whatever becomes of us."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivr_sim.pytest_plugin.commands import CallError, Commands

__all__ = ["Ivr", "serving"]

UP_BY, DOWN_BY = 120.0, 60.0  # seconds
LOOK = 0.5  # seconds between two looks at whether it has failed
# What `serve` runs beside it: calls us once all is up, and ends, and `serve` with it, when we are gone.
COMPANION = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(1)"


@dataclass(frozen=True)
class Ivr:
    """What is up. state: the state file as it is, of version 1.

    state_file: for `ivr-sim call --state`. calls: the folder in which each call leaves its own.
    """

    state: Mapping[str, Any] = field(repr=False)
    state_file: Path
    calls: Path

    @property
    def url(self) -> str:
        """Whom to call to pay: ``sip:5000@127.0.0.1:5060``."""
        return self.number("merchant_keys")

    def number(self, name: str) -> str:
        """Whom to call: merchant_keys, echo, keypad."""
        sip = self.state["sip"]
        return f"sip:{sip['numbers'][name]}@{sip['host']}:{sip['port']}"

    @property
    def accounts(self) -> Sequence[Mapping[str, str]]:
        """Accounts of the exchange: user, password."""
        accounts: Sequence[Mapping[str, str]] = self.state["sip"]["accounts"]
        return accounts

    @property
    def authorizer_url(self) -> str:
        """The authorizer that is asked: ours, or the one under test."""
        url: str = self.state["authorizer"]["url"]
        return url

    @property
    def openpay(self) -> Mapping[str, str]:
        """The Openpay stand-in: url, merchant_id, private_key, public_key."""
        openpay: Mapping[str, str] = self.state["openpay"]
        return openpay

    @property
    def keys(self) -> Sequence[Mapping[str, Any]]:
        """Payment keys that can be paid: ivr_key, amount, order_id, description, standing. Ours only."""
        keys: Sequence[Mapping[str, Any]] = self.state["keys"]
        return keys


@contextmanager
def serving(commands: Commands) -> Iterator[Ivr]:
    """Have all up; what it prints goes to ``serve.log`` in the data folder. Raises CallError."""
    state, log = commands.data / "state.json", commands.data / "serve.log"
    with socket.create_server(("127.0.0.1", 0)) as server, log.open("wb") as out:
        server.settimeout(LOOK)
        words = commands.command("serve", "--sip-port", "0", "--state", str(state), *commands.to_authorizer)
        words += ["--", sys.executable, "-c", COMPANION, str(server.getsockname()[1])]
        process = subprocess.Popen(
            words, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=commands.environment, cwd=commands.data,
        )  # fmt: skip
        try:
            with _up(server, process, log):
                yield Ivr(json.loads(state.read_text(encoding="utf-8")), state, commands.data / "calls")
            process.wait(DOWN_BY)
        finally:
            process.kill()
            process.wait()


def _up(server: socket.socket, process: subprocess.Popen[bytes], log: Path) -> socket.socket:
    """The companion's line, once all is up. As long as it is open, all stays up."""
    for _ in range(round(UP_BY / LOOK)):
        try:
            return server.accept()[0]
        except TimeoutError:
            if process.poll() is not None:
                break
    raise CallError(f"ivr-sim serve is not up: {log.read_text(errors='replace').strip()[-2000:]}")
