"""The authorizer client: the guide's request, every reply, every way to fail, and the 5 seconds."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.web.client import ResponseNeverReceived

from ivr_sim.clients import AuthorizerClient
from ivr_sim.dialogue.services import AuthorizerFailed, Payable, Refusal
from ivr_sim.errors import ConfigurationError, LocalProtocolError

GOOD = {"response_code": 0, "amount": 200.00, "description": "Cargo IVR", "order_id": "ord-234"}
Look = Callable[..., Any]


@pytest.fixture
def look_up(canned: Any, now_or_later: Any) -> Look:
    """Looks up a key at an authorizer that replies so; returns what came of it."""

    def look(reply: Any, key: str = "123456") -> Any:
        if isinstance(reply, str):
            reply = reply.encode()
        canned.replies.append(reply if isinstance(reply, tuple | Exception) else (200, reply))
        client = AuthorizerClient(Clock(), "http://shop.test/openpay/authorizer", "usr", "pwd", agent=canned)
        outcome = now_or_later(client.look_up(key))
        assert outcome.done
        return outcome.error or outcome.result

    return look


def without(name: str) -> str:
    return json.dumps({k: v for k, v in GOOD.items() if k != name})


def with_(**fields: Any) -> str:
    return json.dumps(GOOD | fields)


def test_the_guides_reply(look_up: Look, canned: Any) -> None:
    found = look_up(
        '{"response_code": 0, "amount": 200.00, "description": "Cargo IVR", "order_id": "ord-234"}'
    )
    assert found == Payable(
        key="123456", amount=Decimal("200.00"), order_id="ord-234", description="Cargo IVR"
    )
    assert str(found.amount) == "200.00"
    assert canned.asked == [("POST", "http://shop.test/openpay/authorizer", b'{"ivr_key": 123456}')]


def test_the_guides_refusal(look_up: Look) -> None:
    assert look_up('{"response_code": 1, "description": "Clave de pago inválida"}') == Refusal(
        code=1, description="Clave de pago inválida"
    )


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0.01", "0.01"),
        ("1", "1.00"),
        ("1.5", "1.50"),
        ("2e2", "200.00"),
        ("1.100", "1.10"),
        ("999999999.99", "999999999.99"),
        ("0.29", "0.29"),
    ],
)
def test_amounts_are_exact(look_up: Look, written: str, amount: str) -> None:
    found = look_up(with_(amount=0).replace('"amount": 0', f'"amount": {written}'))
    assert str(found.amount) == amount


@pytest.mark.parametrize(
    "written",
    ["0", "-1", "0.001", "1.005", "1000000000", "1e400", "1e-400", "true", "null", '"200.00"', "[1]", "{}"],
)
def test_amounts_that_cannot_be_charged(look_up: Look, written: str) -> None:
    failed = look_up(with_(amount=0).replace('"amount": 0', f'"amount": {written}'))
    assert isinstance(failed, AuthorizerFailed)
    assert failed.cause == "bad_fields"
    assert "amount" in failed.detail


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (without("amount"), "no amount"),
        (without("order_id"), "no order_id"),
        (without("description"), "no description"),
        (without("response_code"), "no response_code"),
        (with_(response_code="0"), "response_code"),
        (with_(response_code=0.5), "response_code"),
        (with_(response_code=True), "response_code"),
        (with_(response_code=None), "response_code"),
        (with_(response_code=2**40), "response_code"),
        (with_(order_id=""), "order_id is empty"),
        (with_(order_id=" "), "order_id is empty"),
        (with_(order_id=234), "order_id"),
        (with_(order_id="x" * 101), "order_id"),
        (with_(order_id="a\ud800"), "order_id"),
        (with_(order_id="a\x00"), "order_id"),
        (with_(description=""), "description is empty"),
        (with_(description=None), "description"),
        (with_(description="x" * 251), "description"),
        ('{"response_code": 1, "description": 5}', "description"),
        ("[]", "object"),
        ('"0"', "object"),
        ("0", "object"),
        ("null", "object"),
    ],
)
def test_fields_that_are_missing_or_wrong(look_up: Look, reply: str, names: str) -> None:
    failed = look_up(reply)
    assert isinstance(failed, AuthorizerFailed)
    assert (failed.cause, failed.status) == ("bad_fields", 200)
    assert names in failed.detail


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b'{"response_code": 0} x', b"\xff\xfe", b"NaN", b"[" * 50000, b"9" * 9999,
     b'{"response_code":0,"amount":Infinity}', b"{'response_code': 0}"],
)  # fmt: skip
def test_what_is_not_json(look_up: Look, body: bytes) -> None:
    failed = look_up((200, body))
    assert isinstance(failed, AuthorizerFailed)
    assert (failed.cause, failed.status) == ("not_json", 200)


def test_too_long_a_reply_is_no_json_of_ours(look_up: Look) -> None:
    failed = look_up((200, json.dumps(GOOD).encode() + b" " * 70000))
    assert (failed.cause, failed.status) == ("not_json", 200)
    assert "65536" in failed.detail


@pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 403, 404, 405, 429, 500, 502, 503])
def test_every_status_but_200_is_a_failure(look_up: Look, status: int) -> None:
    failed = look_up((status, json.dumps(GOOD).encode()))
    assert isinstance(failed, AuthorizerFailed)
    assert (failed.cause, failed.status) == ("status", status)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DNSLookupError("no such host"), "dns"),
        (ConnectionRefusedError(), "connect"),
        (ResponseNeverReceived([]), "connect"),
    ],
)
def test_what_never_answers(look_up: Look, error: Exception, cause: str) -> None:
    failed = look_up(error)
    assert isinstance(failed, AuthorizerFailed)
    assert (failed.cause, failed.status) == (cause, None)


def test_where_the_guide_is_silent_the_merchant_is_free(look_up: Look) -> None:
    found = look_up(
        "\ufeff \n" + '{"extra": {"a": [1]}, "order_id":"ord-234", "amount":200, "response_code":0,'
        '"description":"Se\\u00f1al\\n"}\r\n'
    )
    assert (found.amount, found.description) == (Decimal("200.00"), "Señal\n")
    assert look_up('{"response_code": -7}') == Refusal(code=-7, description="")
    assert look_up('{"response_code": 3, "description": "x\\ud800y"}') == Refusal(code=3, description="xy")


@pytest.mark.parametrize("key", ["", "123", "0123", "1" * 13, "12a4", "١٢٣٤", "1234\n", "-123", "1e10"])
def test_keys_that_are_never_sent(look_up: Look, canned: Any, key: str) -> None:
    assert isinstance(look_up("{}", key), LocalProtocolError)
    assert canned.asked == []


def test_in_production_only_https() -> None:
    with pytest.raises(ConfigurationError, match="https://"):
        AuthorizerClient(Clock(), "http://shop.test/", "usr", "pwd", mode="production")
    AuthorizerClient(Clock(), "https://shop.test/", "usr", "pwd", mode="production")


@given(body=st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["response_code", "amount", "order_id", "description"]) | st.text(), inner
    ),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_no_reply_at_all_gets_past(body: bytes) -> None:
    from ivr_sim.clients.authorizer import _understood
    from ivr_sim.clients.http import Reply

    found: Payable | Refusal | AuthorizerFailed
    try:
        found = _understood("123456", Reply(200, {}, body, 1))
    except AuthorizerFailed as failed:
        found = failed
    if isinstance(found, AuthorizerFailed):
        assert found.cause in ("not_json", "bad_fields")
    else:
        assert isinstance(found, Refusal) or found.amount > 0
        assert str(found).encode()


# ------------------------------------------------------------------------------ over loopback, for real


@pytest.fixture
def peer() -> Iterator[Callable[..., int]]:
    """A TCP server of one connection that does as told with it; returns its port."""
    listeners: list[socket.socket] = []
    workers: list[threading.Thread] = []

    def serve(behave: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(30)
        listeners.append(listener)

        def work() -> None:
            try:
                connection, _ = listener.accept()
                connection.settimeout(30)
                with connection:
                    if tls is None:
                        behave(connection)
                    else:
                        with tls.wrap_socket(connection, server_side=True) as secured:
                            behave(secured)
            except OSError:
                pass  # the client went: what the tests want to see is on its side

        workers.append(threading.Thread(target=work, daemon=True))
        workers[-1].start()
        return int(listener.getsockname()[1])

    yield serve
    for worker in workers:
        worker.join(30)
    for listener in listeners:
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"}"):
        got += connection.recv(4096)
    return got


def reply(body: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body.encode()), body.encode())


@pytest.fixture
def ask(reactor_run: Callable[..., Any]) -> Callable[..., Any]:
    def ask_(url: str, **options: Any) -> Any:
        client = AuthorizerClient(reactor, url, "usr", "pwd", **options)
        return reactor_run(lambda: client.look_up("123456"))

    return ask_


def test_the_request_is_the_guides_byte_for_byte(peer: Any, ask: Callable[..., Any]) -> None:
    got: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        got.append(read_request(connection))
        connection.sendall(reply(json.dumps(GOOD)))

    port = peer(behave)
    found = ask(f"http://127.0.0.1:{port}/openpay/authorizer")
    assert found.order_id == "ord-234"
    head, body = got[0].split(b"\r\n\r\n")
    assert body == b'{"ivr_key": 123456}'
    assert head.split(b"\r\n")[0] == b"POST /openpay/authorizer HTTP/1.1"
    assert set(head.split(b"\r\n")[1:]) == {
        b"Host: 127.0.0.1:%d" % port,
        b"Authorization: Basic dXNyOnB3ZA==",
        b"Content-Type: application/json",
        b"Cache-Control: no-cache",
        b"Content-Length: 19",
        b"Connection: close",
    }


def test_a_dripping_body_ends_at_5_seconds_of_real_time(peer: Any, ask: Callable[..., Any]) -> None:
    cut = threading.Event()

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while not cut.wait(0.1):
                connection.sendall(b" ")
        except OSError:
            cut.set()

    with pytest.raises(AuthorizerFailed) as failed:
        ask(f"http://127.0.0.1:{peer(behave)}/")
    assert (failed.value.cause, failed.value.status) == ("timeout", 200)
    assert failed.value.ms >= 5000
    assert cut.wait(20)


def test_nobody_listens(ask: Callable[..., Any]) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it; not listening
        with pytest.raises(AuthorizerFailed) as failed:
            ask(f"http://127.0.0.1:{deaf.getsockname()[1]}/")
    assert failed.value.cause == "connect"


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate for localhost that it signed itself; in ``tmp_path/cert.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "cert.pem").write_bytes(pem)
    (tmp_path / "both.pem").write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    return context


def answer_well(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(reply(json.dumps(GOOD)))


def test_a_certificate_that_nobody_vouches_for(
    peer: Any, tls: ssl.SSLContext, ask: Callable[..., Any]
) -> None:
    with pytest.raises(AuthorizerFailed) as failed:
        ask(f"https://localhost:{peer(answer_well, tls)}/", mode="production")
    assert failed.value.cause == "tls"


def test_a_certificate_that_is_trusted(
    peer: Any,
    tls: ssl.SSLContext,
    ask: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    found = ask(f"https://localhost:{peer(answer_well, tls)}/", mode="production")
    assert found.order_id == "ord-234"


def test_a_trusted_certificate_of_another_host(
    peer: Any,
    tls: ssl.SSLContext,
    ask: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with pytest.raises(AuthorizerFailed) as failed:
        ask(f"https://127.0.0.1:{peer(answer_well, tls)}/", mode="production")
    assert failed.value.cause == "tls"


def test_https_where_http_is_spoken(peer: Any, ask: Callable[..., Any]) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(AuthorizerFailed) as failed:
        ask(f"https://127.0.0.1:{peer(behave)}/")
    assert failed.value.cause == "tls"
