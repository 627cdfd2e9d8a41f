"""The application called by a bare WSGI server: bodies without a length, broken ones, and garbage."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authorizer import PaymentKey

PATH = "/openpay/authorizer"
JSON = "application/json"

Basic = Callable[..., str]


def wsgi(app: Flask, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Call the application as a server would. Returns status, headers and body."""
    whole: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": PATH,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8081",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        assert exc_info is None
        seen.append((status, headers))

    result = app(whole | environ, start_response)
    body = b"".join(result)
    if hasattr(result, "close"):
        result.close()
    ((status, headers),) = seen
    return int(status[:3]), dict(headers), body


@pytest.mark.parametrize(("size", "status"), [(30, 200), (4096, 200), (4097, 413), (10_000_000, 413)])
def test_a_chunked_body_is_read_up_to_the_cap(app: Flask, basic: Basic, size: int, status: int) -> None:
    stream = io.BytesIO(b'{"ivr_key": 111111}'.ljust(size))
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_TYPE": JSON}
    got, _, body = wsgi(app, environ | {"HTTP_AUTHORIZATION": basic()})
    assert got == status
    assert json.loads(body)["response_code"] == (1 if status == 200 else 413)
    assert stream.tell() < 10_000  # an endless one is not read to its end


def test_a_body_whose_end_nobody_knows_is_411(app: Flask, basic: Basic) -> None:
    environ = {"wsgi.input": io.BytesIO(b'{"ivr_key": 111111}'), "CONTENT_TYPE": JSON}
    environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "HTTP_AUTHORIZATION": basic()}
    status, headers, body = wsgi(app, environ)
    assert (status, headers["Content-Type"]) == (411, JSON)
    assert json.loads(body)["response_code"] == 411


class Broken(io.RawIOBase):
    """A connection that breaks while the body is read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise ConnectionResetError("gone")


class BadChunk(Exception):
    """What a server may raise on a chunk that is none: gunicorn's is no OSError."""


class Unreadable:
    """A server's own stream, which only has ``read``."""

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        raise BadChunk(b"zz")


@pytest.mark.parametrize("stream", [io.BytesIO(b'{"ivr'), io.BytesIO(), Broken(), Unreadable()])
@pytest.mark.parametrize("ends", [{"CONTENT_LENGTH": "30"}, {"wsgi.input_terminated": True}])
def test_a_body_that_breaks_off_is_400(app: Flask, basic: Basic, stream: Any, ends: dict[str, Any]) -> None:
    stream.seek(0) if stream.seekable() else None
    environ = {"wsgi.input": stream, "CONTENT_TYPE": JSON, "HTTP_AUTHORIZATION": basic(), **ends}
    status, _, body = wsgi(app, environ)
    assert (status, json.loads(body)["response_code"]) == (400, 400)


def test_the_application_keeps_to_wsgi(app: Flask, basic: Basic, issued: dict[str, PaymentKey]) -> None:
    body = json.dumps({"ivr_key": int(issued["live"].key)}).encode()
    seen: list[str] = []
    for path, credentials in ((PATH, basic()), (PATH, ""), ("/nowhere", "")):
        environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_TYPE": JSON}
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        environ |= {"HTTP_AUTHORIZATION": credentials, "QUERY_STRING": "", "SCRIPT_NAME": ""}
        setup_testing_defaults(environ)

        def start_response(status: str, headers: object, exc_info: object = None) -> Any:
            seen.append(status)
            return lambda data: None

        result: Any = validator(app.wsgi_app)(environ, start_response)
        assert b"".join(result)
        result.close()
    assert [status[:3] for status in seen] == ["200", "401", "404"]


latin = st.text(st.characters(max_codepoint=255), max_size=60)
headers = st.dictionaries(
    st.sampled_from(
        ["HTTP_AUTHORIZATION", "HTTP_HOST", "HTTP_ACCEPT", "HTTP_COOKIE", "HTTP_EXPECT", "HTTP_CONNECTION",
         "HTTP_UPGRADE", "HTTP_TRANSFER_ENCODING", "HTTP_X_FORWARDED_HOST", "HTTP_CONTENT_ENCODING",
         "HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE", "CONTENT_TYPE", "CONTENT_LENGTH", "QUERY_STRING",
         "REMOTE_ADDR",
         "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME"]
    ),
    latin | st.sampled_from(["websocket", "upgrade", "chunked", "-1", "1e9", "999999999999", "[::1",
    "a:b:c", "%"]),
    max_size=5,
)  # fmt: skip


@given(
    method=st.sampled_from(["POST"] * 5 + ["GET", "HEAD", "OPTIONS", "post", "CONNECT", "*", ""]) | latin,
    path=st.sampled_from([PATH] * 5 + ["", "/", "*", "//", "/health", f"{PATH}/"]) | latin,
    trusted=st.booleans(),
    given_headers=headers,
    body=st.binary() | st.sampled_from([b"{}", b'{"ivr_key":123456}', b"[" * 4000, b"x" * 5000]),
    ends=st.sampled_from([{}, {"wsgi.input_terminated": True}, {"CONTENT_LENGTH": None}]),
)
@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_a_peer_sends_is_a_500(
    app: Flask, basic: Basic, method: str, path: str, trusted: bool, given_headers: dict[str, str],
    body: bytes, ends: dict[str, Any],
) -> None:  # fmt: skip
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    if trusted:
        environ |= {"HTTP_AUTHORIZATION": basic(), "CONTENT_TYPE": JSON}
    environ |= {"CONTENT_LENGTH": str(len(body)), **given_headers}
    environ |= {name: value for name, value in ends.items() if value is not None}
    if ends == {"CONTENT_LENGTH": None}:
        del environ["CONTENT_LENGTH"]
    status, sent, replied = wsgi(app, environ)
    assert status in (200, 400, 401, 404, 405, 411, 413, 415)
    assert sent["Content-Type"] == JSON
    if method.upper() != "HEAD":
        document = json.loads(replied)
        assert document.get("response_code") == (status if status != 200 else document.get("response_code"))
        assert "amount" not in document
