"""The ``authorizer`` command, in this process: keys, settings, and what is refused with exit code 2."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authorizer import ConfigurationError, KeyStore, StoreUnavailable
from authorizer.cli import main
from authorizer.server import is_loopback
from authorizer.settings import app_from_environment

Run = Callable[..., Result]
ISSUE = ("keys", "issue", "--amount", "200.00", "--description", "Cargo IVR", "--order-id", "ord-234")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty folder, with nothing of the authorizer in the environment."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, **environment: str) -> Result:
        nothing = dict.fromkeys(("AUTHORIZER_USER", "AUTHORIZER_PASSWORD", "AUTHORIZER_DATABASE_URL"))
        return CliRunner().invoke(main, arguments, env={**nothing, **environment})

    return invoke


def refused(result: Result, hint: str) -> None:
    """The command could not be done, and says why without a trace."""
    assert result.exit_code == 2
    assert hint in result.stderr
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_an_issued_key_is_printed_bare_for_scripts(run: Run) -> None:
    result = run(*ISSUE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.strip().isdigit()
    assert len(result.stdout) == 7


def test_an_issued_key_as_json(run: Run) -> None:
    result = run(*ISSUE, "--json", "--expires-in", "30m", "--length", "12")
    key = json.loads(result.stdout)
    assert 10**11 <= key["ivr_key"] < 10**12
    assert (key["amount"], key["currency"], key["state"]) == ("200.00", "MXN", "live")
    lifetime = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert lifetime == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [("90s", timedelta(seconds=90)), ("45m", timedelta(minutes=45)), ("2h", timedelta(hours=2)),
     ("7d", timedelta(days=7)), ("366d", timedelta(days=366))],
)  # fmt: skip
def test_lifetimes(run: Run, text: str, lifetime: timedelta) -> None:
    key = json.loads(run(*ISSUE, "--json", "--expires-in", text).stdout)
    assert datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"]) == lifetime


def test_a_key_is_listed_then_paid_then_refused(run: Run) -> None:
    key = run(*ISSUE).stdout.strip()
    assert [part in run("keys", "list").stdout for part in (key, "live", "200.00 MXN", "ord-234")] == [
        True
    ] * 4
    assert json.loads(run("keys", "paid", key, "--json").stdout)["state"] == "paid"
    refused(run("keys", "paid", key), "paid already")
    refused(run("keys", "cancel", key), "paid already")
    (kept,) = json.loads(run("keys", "list", "--json").stdout)
    assert (kept["ivr_key"], kept["state"]) == (int(key), "paid")


def test_an_order_gets_a_new_key_after_the_old_one_is_cancelled(run: Run) -> None:
    key = run(*ISSUE).stdout.strip()
    refused(run(*ISSUE), "ord-234 has a payment key already; cancel that one first")
    assert "cancelled" in run("keys", "cancel", key).stdout
    assert run(*ISSUE).exit_code == 0


def test_an_empty_list(run: Run) -> None:
    assert run("keys", "list").stdout == ""
    assert run("keys", "list", "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"--amount": "200.001"}, "not an amount such as 200.00"),
        ({"--amount": "-1"}, "not an amount"),
        ({"--amount": "1e3"}, "not an amount"),
        ({"--amount": "nan"}, "not an amount"),
        ({"--amount": "1,000.00"}, "not an amount"),
        ({"--amount": "0"}, "between 0.01 and"),
        ({"--description": "<b>"}, "markup"),
        ({"--description": ""}, "1 to 250"),
        ({"--order-id": "a b"}, "order_id"),
        ({"--expires-in": "soon"}, "not a duration"),
        ({"--expires-in": "0s"}, "lives for"),
        ({"--expires-in": "99999999d"}, "lives for"),
        ({"--length": "3"}, "4<=x<=12"),
        ({"--database": "nonsense"}, "should look like"),
        ({"--database": "sqlite:////nowhere/x.sqlite3"}, "unable to open"),
    ],
)
def test_what_cannot_be_issued_is_refused(run: Run, changes: dict[str, str], hint: str) -> None:
    refused(run(*ISSUE, *(part for pair in changes.items() for part in pair)), hint)


@pytest.mark.parametrize("command", ["cancel", "paid"])
@pytest.mark.parametrize("key", ["999999", "abc", "٣٣٣٣", ""])
def test_a_key_that_was_never_issued_is_refused(run: Run, command: str, key: str) -> None:
    refused(run("keys", command, key), "no such payment key")


@pytest.mark.parametrize("arguments", [("nothing",), ("keys", "nothing"), ("keys", "issue"), ("serve",)])
def test_usage_errors_are_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_the_default_database_is_private_and_not_for_version_control(run: Run, tmp_path: Path) -> None:
    run(*ISSUE)
    folder = tmp_path / "authorizer-data"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (folder / "payment-keys.sqlite3").exists()


def test_a_folder_that_cannot_be_made_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "authorizer-data").write_text("a file is in the way")
    refused(run("keys", "list"), "authorizer-data")


def test_the_database_by_option_and_by_environment(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.sqlite3'}"
    key = run(*ISSUE, "--database", url).stdout.strip()
    assert key in run("keys", "list", AUTHORIZER_DATABASE_URL=url).stdout
    assert not (tmp_path / "authorizer-data").exists()


# Serving: what is refused before anything listens


def test_serving_needs_a_password_from_the_environment(run: Run) -> None:
    refused(run("serve", "--user", "openpay"), "AUTHORIZER_PASSWORD")
    refused(run("serve", "--user", "openpay", AUTHORIZER_PASSWORD=""), "AUTHORIZER_PASSWORD")
    assert "password" not in {
        option for command in (main.commands["serve"],) for p in command.params for option in p.opts
    }
    refused(run("serve", "--user", "openpay", "--password", "x"), "No such option")


def test_serving_needs_a_user_without_a_colon(run: Run) -> None:
    refused(run("serve", "--user", "a:b", AUTHORIZER_PASSWORD="x" * 20), "colon")


def test_the_guides_example_credentials_are_refused(run: Run) -> None:
    refused(run("serve", "--user", "usr", AUTHORIZER_PASSWORD="pwd"), "guide's example")


def test_a_taken_port_is_refused(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        refused(run("serve", "--port", port, "--user", "u", AUTHORIZER_PASSWORD="x" * 20), f"port {port}")


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host", "2001:db8::1"])
def test_an_address_that_is_not_ours_is_refused(run: Run, host: str) -> None:
    refused(run("serve", "--host", host, "--user", "u", AUTHORIZER_PASSWORD="x" * 20), "cannot listen")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),  # noqa: S104
     ("::", False), ("192.0.2.1", False), ("example.com", False), ("", False)],
)  # fmt: skip
def test_which_addresses_others_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# The WSGI module's settings


def test_the_application_from_the_environment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path / 'keys.sqlite3'}"
    environment = {"AUTHORIZER_USER": "u", "AUTHORIZER_PASSWORD": "short", "AUTHORIZER_DATABASE_URL": url}
    with caplog.at_level(logging.WARNING):
        app = app_from_environment(environment)
    assert "the password is short" in caplog.text
    response = app.test_client().post("/openpay/authorizer", json={"ivr_key": 1}, auth=("u", "short"))
    assert response.get_json()["response_code"] == 1
    KeyStore(url).close()


@pytest.mark.parametrize(
    ("changes", "error", "hint"),
    [
        ({"AUTHORIZER_USER": ""}, ConfigurationError, "set AUTHORIZER_USER"),
        ({"AUTHORIZER_PASSWORD": ""}, ConfigurationError, "set AUTHORIZER_PASSWORD"),
        ({"AUTHORIZER_USER": "usr", "AUTHORIZER_PASSWORD": "pwd"}, ConfigurationError, "guide's example"),
        ({"AUTHORIZER_DATABASE_URL": "sqlite:////nowhere/x"}, StoreUnavailable, "unable to open"),
    ],
)
def test_an_environment_that_cannot_work_is_refused(
    tmp_path: Path, changes: dict[str, str], error: type[Exception], hint: str
) -> None:
    environment: dict[str, Any] = {
        "AUTHORIZER_USER": "u",
        "AUTHORIZER_PASSWORD": "p" * 20,
        "AUTHORIZER_DATABASE_URL": f"sqlite:///{tmp_path / 'keys.sqlite3'}",
    }
    with pytest.raises(error, match=hint):
        app_from_environment(environment | changes)
