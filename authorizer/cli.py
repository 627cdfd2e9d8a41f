"""The ``authorizer`` command: serve the authorizer, and issue, list, cancel and settle payment keys.

Exit codes: 0 when it was done, 2 when it could not be.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import click
from flask import Flask

from .app import DEFAULT_PATH
from .errors import AuthorizerError
from .keys import KeyStore, PaymentKey
from .server import is_loopback, listen
from .settings import DATABASE, PASSWORD, USER, deployable_app, open_store

__all__ = ["main"]

F = TypeVar("F", bound=Callable[..., Any])
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Refused(click.ClickException):
    """An error to show without a trace."""

    exit_code = 2


class Commands(click.Group):
    """Shows the errors of this package as messages."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AuthorizerError as error:
            raise Refused(str(error)) from error


def amount(value: str) -> Decimal:
    """An amount such as 200 or 200.00, read as a decimal."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,2})?", value):
        raise click.BadParameter(f"{value!r} is not an amount such as 200.00")
    return Decimal(value)


def duration(value: str) -> timedelta:
    """A duration such as 90s, 30m, 24h or 7d."""
    found = re.fullmatch(r"([0-9]{1,8})([smhd])", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not a duration such as 90s, 30m, 24h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def database_option(command: F) -> F:
    """``--database``, which every command has."""
    return click.option(
        "--database",
        envvar=DATABASE,
        metavar="URL",
        help=f"SQLAlchemy URL; also ${DATABASE}; default: SQLite in ./authorizer-data",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Tell Openpay's IVR what each payment key stands for."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8081, show_default=True, type=click.IntRange(0, 65535), help="0: any free.")
@database_option
@click.option("--user", envvar=USER, required=True, help=f"User that Openpay sends; also ${USER}.")
def serve(host: str, port: int, database: str | None, user: str) -> None:
    """Serve the authorizer over HTTP, until Ctrl-C.

    The password comes from $AUTHORIZER_PASSWORD, or is asked for. For production, run gunicorn behind a
    proxy that speaks HTTPS: gunicorn authorizer.wsgi:app
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    secret = password()
    with closing(open_store(database)) as store:
        serve_until_stopped(deployable_app(store, user=user, password=secret), host, port)


def serve_until_stopped(app: Flask, host: str, port: int) -> None:
    """Listen, say where, and serve until SIGINT or SIGTERM."""
    server = listen(app, host, port)
    signal.signal(signal.SIGTERM, stop)
    with closing(server.socket), suppress(KeyboardInterrupt):
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"authorizer listens on http://{shown}:{server.port}{DEFAULT_PATH} (Ctrl-C stops it)")
        if not is_loopback(host):
            click.echo("WARNING: others can reach it, and HTTP shows them the password: use HTTPS", err=True)
        server.serve_forever()
    click.echo("authorizer stopped")


def password() -> str:
    """From the environment or the keyboard, never from an argument: arguments are seen by everybody."""
    if given := os.environ.get(PASSWORD):
        return given
    if not sys.stdin.isatty():
        raise Refused(f"set {PASSWORD} in the environment")
    return str(click.prompt("Password", hide_input=True))


def stop(signum: int, frame: object) -> NoReturn:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


@main.group()
def keys() -> None:
    """Issue, list, cancel and settle payment keys."""


@keys.command()
@database_option
@click.option("--amount", type=amount, required=True, help="Amount in MXN, such as 200.00.")
@click.option("--description", required=True, help="What the payer hears; at most 250 characters.")
@click.option("--order-id", required=True, help="Your order; letters, digits, - and _.")
@click.option("--expires-in", type=duration, default="24h", show_default=True, help="90s, 30m, 24h, 7d.")
@click.option("--length", type=click.IntRange(4, 12), default=6, show_default=True, help="Digits of the key.")
@json_option
def issue(
    database: str | None,
    amount: Decimal,
    description: str,
    order_id: str,
    expires_in: timedelta,
    length: int,
    as_json: bool,
) -> None:
    """Issue a payment key for an order and print it."""
    with closing(open_store(database)) as store:
        key = store.issue(amount, description, order_id, expires_in=expires_in, length=length)
    show(key, as_json, brief=True)


@keys.command("list")
@database_option
@json_option
def list_keys(database: str | None, as_json: bool) -> None:
    """List all payment keys, the oldest first."""
    with closing(open_store(database)) as store:
        found = store.list()
    if as_json:
        click.echo(json.dumps([key.as_json() for key in found], ensure_ascii=False, indent=2))
        return
    for key in found:
        show(key, as_json=False)


@keys.command()
@database_option
@click.argument("key")
@json_option
def cancel(database: str | None, key: str, as_json: bool) -> None:
    """Cancel a payment key that was not paid."""
    change(KeyStore.cancel, database, key, as_json)


@keys.command()
@database_option
@click.argument("key")
@json_option
def paid(database: str | None, key: str, as_json: bool) -> None:
    """Note that a payment key was paid."""
    change(KeyStore.mark_paid, database, key, as_json)


def change(how: Callable[[KeyStore, str], PaymentKey], database: str | None, key: str, as_json: bool) -> None:
    """Change one key, and show it."""
    with closing(open_store(database)) as store:
        changed = how(store, key)
    show(changed, as_json)


def show(key: PaymentKey, as_json: bool, *, brief: bool = False) -> None:
    """Print one key: as JSON, as the bare key for a script, or as a line of a table."""
    if as_json:
        click.echo(json.dumps(key.as_json(), ensure_ascii=False))
    elif brief:
        click.echo(key.key)
    else:
        expires = key.expires_at.isoformat(timespec="minutes")
        click.echo(
            f"{key.key:<12}  {key.state:<9}  {key.amount:>12} {key.currency}  {expires}  "
            f"{key.order_id}  {key.description}"
        )
