"""Names of hosts: what a resolver that stays silent can hold up, and what it cannot."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from ivr_sim.clients.http import HttpClient, HttpFailed, Reply


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["HTTP_HOST"].encode()]


@pytest.fixture
def resolver(monkeypatch) -> Iterator[SimpleNamespace]:
    """getaddrinfo, but ``silent.test`` is not answered before the test is over; ``asked``: all names."""
    real, over = socket.getaddrinfo, threading.Event()
    told = SimpleNamespace(asked=[])

    def getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
        told.asked.append(host)
        if host == "silent.test":
            over.wait(30)
        if host.endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield told
    over.set()


async def outcome(url: str, seconds: float) -> Reply | HttpFailed:
    try:
        return await HttpClient(reactor, timeout=seconds).request("GET", url)
    except HttpFailed as failed:
        return failed


def test_lookups_without_an_answer_hold_up_nobody_else(reactor_run, web, resolver) -> None:
    port = web(app).port

    async def ask() -> list[Reply | HttpFailed]:
        silent = [Deferred.fromCoroutine(outcome("http://silent.test/", 0.5)) for _ in range(40)]
        others = [await outcome(f"http://{host}:{port}/", 5) for host in ("127.0.0.1", "localhost")]
        return [*others, *[await each for each in silent]]

    [address, name, *silent] = reactor_run(ask)
    assert (address.status, name.status) == (200, 200)
    assert name.body == f"localhost:{port}".encode()
    assert {failed.cause for failed in silent} == {"timeout"}
    assert all(500 <= failed.ms < 1500 for failed in silent)
    assert set(resolver.asked) == {"silent.test", "localhost"}  # an address is not asked for


def test_a_name_that_there_is_not(reactor_run, resolver) -> None:
    failed = reactor_run(lambda: Deferred.fromCoroutine(outcome("http://nobody.test/", 5)))
    assert (failed.cause, failed.sent) == ("dns", False)


def test_a_process_ends_although_a_lookup_has_no_answer(resolver, reactor_run) -> None:
    reactor_run(lambda: Deferred.fromCoroutine(outcome("http://silent.test/", 0.1)))
    waiting = [thread for thread in threading.enumerate() if thread.name == "name lookup"]
    assert waiting
    assert all(thread.daemon for thread in waiting)
