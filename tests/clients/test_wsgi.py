"""The WSGI server: bodies, stopping, threads, ports."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ivr_sim.errors import ConfigurationError, LocalProtocolError
from ivr_sim.wsgi import MAX_BODY, WebServer

Run = Callable[..., Any]


def echo() -> Flask:
    app = Flask("echo")

    @app.post("/")
    def post() -> dict[str, Any]:
        return {"length": len(request.get_data()), "thread": threading.current_thread().name}

    return app


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        peer.sendall(sent)
        got = b""
        while chunk := peer.recv(65536):
            got += chunk
        return got


def named(name: str) -> list[str]:
    return [t.name for t in threading.enumerate() if name in t.name]


def test_serves_on_its_own_threads(web: Callable[..., WebServer]) -> None:
    server = web(echo(), name="teller")
    assert server.url == f"http://127.0.0.1:{server.port}"
    got = exchange(
        server.port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    )
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b'"length":3' in got
    assert b"teller" in got


def test_a_chunked_body_arrives_whole(web: Callable[..., WebServer]) -> None:
    got = exchange(
        web(echo()).port,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    )
    assert b'"length":7' in got


def test_a_flood_in_one_body_is_not_kept(web: Callable[..., WebServer]) -> None:
    app = echo()
    app.config["MAX_CONTENT_LENGTH"] = 1000
    size = MAX_BODY + 4096
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
    counted = head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    server = web(app)
    assert exchange(server.port, chunked).startswith(b"HTTP/1.1 413 ")
    assert exchange(server.port, counted).startswith(b"HTTP/1.1 413 ")


def test_garbage_is_answered_and_the_server_lives(web: Callable[..., WebServer]) -> None:
    server = web(echo())
    assert b" 400 " in exchange(server.port, b"\x00\xff\x13 nonsense\r\n\r\n")
    assert b'"length":0' in exchange(
        server.port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


def test_stopping_lets_a_request_finish_and_ends_every_thread(reactor_run: Run) -> None:
    entered, go_on = threading.Event(), threading.Event()
    app = Flask("slow")

    @app.get("/")
    def slow() -> str:
        entered.set()
        assert go_on.wait(20)
        return "finished"

    server = WebServer(reactor, app, name="slow-teller")
    idle = socket.socket()

    async def start() -> None:
        server.start()

    async def stop() -> None:
        stopping, again = server.stop(), server.stop()
        go_on.set()
        await stopping
        await again
        await server.stop()

    reactor_run(start)
    idle.settimeout(20)
    idle.connect(("127.0.0.1", server.port))
    answers: list[bytes] = []
    request_ = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"  # kept alive by the client, closed by the server
    caller = threading.Thread(target=lambda: answers.append(exchange(server.port, request_)))
    caller.start()
    assert entered.wait(20)
    reactor_run(stop)
    caller.join(20)
    assert answers[0].endswith(b"finished")
    assert idle.recv(1) == b""
    idle.close()
    assert named("slow-teller") == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_handler_that_never_returns_does_not_hold_the_stop(
    reactor_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ivr_sim.wsgi.GRACE", 0.2)
    entered, released = threading.Event(), threading.Event()
    app = Flask("stuck")

    @app.get("/")
    def stuck() -> str:
        entered.set()
        released.wait(60)
        return ""

    server = WebServer(reactor, app, name="stuck-teller")

    async def start() -> None:
        server.start()

    async def stop() -> None:
        await server.stop()

    reactor_run(start)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(20)
        reactor_run(stop)
        assert peer.recv(1) == b""
    workers = [t for t in threading.enumerate() if "stuck-teller" in t.name]
    assert all(t.daemon for t in workers)
    released.set()
    for thread in workers:
        thread.join(20)
    assert named("stuck-teller") == []


def test_a_taken_port_says_what_to_try(reactor_run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def start() -> None:
            WebServer(reactor, echo(), port=port, name="teller").start()

        with pytest.raises(ConfigurationError, match=rf"port 127.0.0.1:{port} for teller is in use; choose"):
            reactor_run(start)
    assert named("teller") == []


def test_a_host_that_is_not_ours_is_a_configuration_error(reactor_run: Run) -> None:
    async def start() -> None:
        WebServer(reactor, echo(), host="192.0.2.1", name="teller").start()

    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1"):
        reactor_run(start)


def test_before_the_start_there_is_no_port_and_nothing_to_stop() -> None:
    server = WebServer(Clock(), echo())
    with pytest.raises(LocalProtocolError):
        _ = server.port
    stopped: Deferred[None] = server.stop()
    assert stopped.called


def test_starting_twice_is_refused(web: Callable[..., WebServer], reactor_run: Run) -> None:
    server = web(echo())

    async def start() -> None:
        server.start()

    with pytest.raises(LocalProtocolError):
        reactor_run(start)
