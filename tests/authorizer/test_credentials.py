"""HTTP Basic: what is accepted, and that the time it takes says nothing."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import authorizer.credentials
from authorizer import ConfigurationError
from authorizer.credentials import Credentials


def token(content: bytes) -> str:
    return base64.b64encode(content).decode()


def basic(content: bytes) -> str:
    return "Basic " + token(content)


RIGHT = Credentials("usuario", "contraseña:ñ€")
ACCEPTED = "usuario:contraseña:ñ€".encode()


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
def test_the_scheme_has_no_case(scheme: str) -> None:
    assert RIGHT.accept(f"{scheme} {token(ACCEPTED)}")


def test_spaces_around_the_token_do_no_harm() -> None:
    assert RIGHT.accept(f"Basic   {token(ACCEPTED)} ")


def test_the_guides_own_header() -> None:
    assert Credentials("usr", "pwd").accept("Basic dXNyOnB3ZA==")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic ====",
        "Basic !!!!",
        "Basic ñ",
        "Basic \x00",
        basic(b""),
        basic(b":"),
        basic(b"usuario"),
        basic(b"usuario:"),
        basic(":contraseña:ñ€".encode()),
        basic("otro:contraseña:ñ€".encode()),
        basic("Usuario:contraseña:ñ€".encode()),
        basic("usuario:contraseña:ñ".encode()),
        basic("usuario:contraseña:ñ€€".encode()),
        basic("usuario:contraseña:ñ€\x00".encode()),
        basic("usuario\x00:contraseña:ñ€".encode()),
        basic("usuario:contraseña".encode("latin-1")),
        basic(b"\xff\xfe:\xff"),
        f"Bearer {token(ACCEPTED)}",
        f"Digest {token(ACCEPTED)}",
        f"Basic{token(ACCEPTED)}",
        f"Basic {token(ACCEPTED)[:-4]}",
        f"Basic {token(ACCEPTED)}, Basic {token(ACCEPTED)}",
        f"Basic {token(ACCEPTED)[:8]}\n{token(ACCEPTED)[8:]}",
        ACCEPTED.decode("latin-1"),
    ],
)
def test_anything_else_is_refused(header: str | None) -> None:
    assert not RIGHT.accept(header)


def test_other_bytes_than_utf8_are_other_credentials() -> None:
    assert Credentials("u", "ñ").accept(basic("u:ñ".encode()))
    assert not Credentials("u", "ñ").accept(basic("u:ñ".encode("latin-1")))


@given(st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1), st.text(min_size=1))
@example("\x00", "\x00")
@settings(deadline=None)
def test_whatever_the_credentials_are_they_open_and_nothing_else_does(user: str, password: str) -> None:
    try:
        credentials = Credentials(user, password)
    except ConfigurationError:
        with pytest.raises(UnicodeEncodeError):
            password.encode()
        return
    assert credentials.accept(basic(f"{user}:{password}".encode()))
    assert not credentials.accept(basic(f"{user}:{password}x".encode()))
    assert not credentials.accept(basic(f"x{user}:{password}".encode()))
    assert not credentials.accept(basic(f"{user}{password}".encode()))


@given(st.one_of(st.text(), st.binary().map(basic), st.text().map("Basic {}".format)))
@settings(deadline=None)
def test_garbage_is_refused_and_never_an_exception(header: str) -> None:
    assert not RIGHT.accept(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer x",
        "Basic !",
        basic(b"no colon"),
        basic(b"usuario:x"),
        basic(b"x:y"),
        basic(ACCEPTED),
    ],
)
def test_both_are_always_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, header: str | None
) -> None:
    compared: list[tuple[int, int]] = []

    class Watched:
        @staticmethod
        def compare_digest(a: Any, b: Any) -> bool:
            compared.append((len(a), len(b)))
            return hmac.compare_digest(a, b)

    monkeypatch.setattr(authorizer.credentials, "hmac", Watched)
    RIGHT.accept(header)
    assert compared == [(32, 32), (32, 32)]  # of one length, so that lengths take no different time


@pytest.mark.parametrize(
    ("user", "password"), [("", "x"), ("x", ""), ("a:b", "x"), ("\udcff", "x"), ("x", "\udcff")]
)
def test_credentials_that_cannot_work_are_refused(user: str, password: str) -> None:
    with pytest.raises(ConfigurationError):
        Credentials(user, password)


def test_credentials_do_not_show_themselves() -> None:
    assert repr(RIGHT) == str(RIGHT) == "Credentials(<hidden>)"
    held = [value for value in vars(RIGHT).values() if isinstance(value, str | bytes)]
    assert not any(secret in held for secret in ("contraseña:ñ€", "contraseña:ñ€".encode()))
