"""The authorizer on real sockets: under gunicorn, which we did not write, and under ``authorizer serve``."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import authorizer
from authorizer import KeyStore

USER, PASSWORD = "openpay", "Zq3-una contraseña larga"
CREDENTIALS = base64.b64encode(f"{USER}:{PASSWORD}".encode())
ENOUGH = 60  # seconds; a loaded machine starts a server in five

Exchange = Callable[[bytes], bytes]


def guides_request(credentials: bytes, key: bytes) -> bytes:
    """The guide's request (L125-134), byte for byte but for credentials, key and the length it leaves out."""
    body = b'{\n    "ivr_key": ' + key + b"\n}"
    return (
        b"POST /openpay/authorizer HTTP/1.1\r\n"
        b"Host: example.com\r\n"
        b"Authorization: Basic " + credentials + b"\r\n"
        b"Content-Type: application/json\r\n"
        b"Cache-Control: no-cache\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )


def exchange_with(port: int) -> Exchange:
    """Send bytes on a connection of its own, say that there are no more, and read to the end."""

    def exchange(sent: bytes) -> bytes:
        received = bytearray()
        with (
            socket.create_connection(("127.0.0.1", port), timeout=ENOUGH) as connection,
            contextlib.suppress(ConnectionError),  # a server may hang up on garbage
        ):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        return bytes(received)

    return exchange


def parsed(reply: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body."""
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}, body


def environment(url: str) -> dict[str, str]:
    return os.environ | {
        "AUTHORIZER_USER": USER,
        "AUTHORIZER_PASSWORD": PASSWORD,
        "AUTHORIZER_DATABASE_URL": url,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONPATH": str(Path(authorizer.__file__).parents[1]),
    }


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A database's URL, and a key in it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('servers') / 'keys.sqlite3'}"
    store = KeyStore(url)
    yield url, store.issue(Decimal("200.00"), "Cargo IVR", "ord-234").key
    store.close()


@contextlib.contextmanager
def gunicorn(url: str) -> Iterator[Exchange]:
    """gunicorn on a socket that listens before it starts: whoever connects early only waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "authorizer.wsgi:app",
            "--bind",
            f"fd://{listener.fileno()}",
        ]
        command += ["--workers", "2", "--preload", "--log-level", "warning"]
        server = subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment(url))
        try:
            yield exchange_with(listener.getsockname()[1])
        finally:
            server.terminate()
            try:
                server.wait(ENOUGH)
            finally:
                server.kill()
                server.wait()


@contextlib.contextmanager
def serve(url: str) -> Iterator[Exchange]:
    """``authorizer serve`` on a free port, which it names; it must end well on SIGTERM."""
    command = [sys.executable, "-m", "authorizer", "serve", "--port", "0"]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(url), text=True
    )
    assert server.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/openpay/authorizer", server.stdout.readline())
        assert found
        yield exchange_with(int(found[1]))
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=ENOUGH)
        assert (server.returncode, rest) == (0, "authorizer stopped\n")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="module", params=[gunicorn, serve], ids=["gunicorn", "serve"])
def exchange(request: pytest.FixtureRequest, keys: tuple[str, str]) -> Iterator[Exchange]:
    with request.param(keys[0]) as exchange:
        yield exchange


def test_the_guides_request_gets_the_guides_reply(exchange: Exchange, keys: tuple[str, str]) -> None:
    status, headers, body = parsed(exchange(guides_request(CREDENTIALS, keys[1].encode())))
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert int(headers["content-length"]) == len(body)
    assert body == (
        b'{"response_code": 0, "amount": 200.00, "description": "Cargo IVR", "order_id": "ord-234"}'
    )


def test_the_server_does_not_name_its_version(exchange: Exchange) -> None:
    _, headers, _ = parsed(exchange(guides_request(CREDENTIALS, b"1")))
    assert headers["server"] in ("authorizer", "gunicorn")


def test_wrong_credentials_are_challenged(exchange: Exchange) -> None:
    status, headers, body = parsed(exchange(guides_request(b"dXNyOnB3ZA==", b"123456")))
    assert (status, json.loads(body)["response_code"]) == (401, 401)
    assert headers["www-authenticate"].startswith('Basic realm="')


def test_an_old_protocol_is_answered(exchange: Exchange, keys: tuple[str, str]) -> None:
    request = guides_request(CREDENTIALS, keys[1].encode()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    status, _, body = parsed(exchange(request))
    assert (status, json.loads(body)["response_code"]) == (200, 0)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = guides_request(CREDENTIALS, b"1").partition(b"Content-Length")[0]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + end


def test_a_chunked_request_is_read(exchange: Exchange, keys: tuple[str, str]) -> None:
    status, _, body = parsed(exchange(chunked(b'{"ivr_', b'key":', keys[1].encode(), b"}")))
    assert (status, json.loads(body)["response_code"]) == (200, 0)


def test_a_chunked_request_that_is_too_long_is_413(exchange: Exchange) -> None:
    status, headers, body = parsed(exchange(chunked(b'{"ivr_key":123456}', *[b" " * 1000] * 5)))
    assert (status, headers["content-type"]) == (413, "application/json")
    assert json.loads(body)["response_code"] == 413


def test_a_long_request_is_413(exchange: Exchange) -> None:
    status, _, body = parsed(exchange(guides_request(CREDENTIALS, b"1" + b" " * 5000)))
    assert (status, json.loads(body)["response_code"]) == (413, 413)


def test_an_expectation_is_met(exchange: Exchange, keys: tuple[str, str]) -> None:
    request = guides_request(CREDENTIALS, keys[1].encode())
    reply = exchange(request.replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1))
    assert parsed(re.sub(rb"^(HTTP/1.1 100 Continue\r\n\r\n)?", b"", reply))[0] == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n", b"GET\r\n\r\n", b"POST /openpay/authorizer\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /openpay/authorizer HTTP/9.9\r\n\r\n", b"X" * 70000,
        b"POST /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"POST /openpay/authorizer HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /openpay/authorizer HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /openpay/authorizer HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        chunked(b"x", end=b"zz\r\n\r\n"), chunked(b"x", end=b"-1\r\n\r\n"), chunked(b"x", end=b""),
    ],
)  # fmt: skip
def test_after_garbage_the_server_still_serves(
    exchange: Exchange, keys: tuple[str, str], garbage: bytes
) -> None:
    reply = exchange(garbage)
    if reply.startswith(b"HTTP/"):  # how garbage is answered, if at all, is the server's affair
        assert parsed(reply)[0] in (400, 401, 404, 405, 408, 413, 414, 431, 501, 505)
    assert b"Traceback" not in reply
    status, _, body = parsed(exchange(guides_request(CREDENTIALS, keys[1].encode())))
    assert (status, json.loads(body)["response_code"]) == (200, 0)
