"""What the command and the WSGI module take from the environment.

``AUTHORIZER_USER``, ``AUTHORIZER_PASSWORD``, ``AUTHORIZER_DATABASE_URL``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flask import Flask

from .app import create_app
from .credentials import Credentials
from .database import DEFAULT_URL, prepare_default_folder
from .errors import ConfigurationError
from .keys import KeyStore

__all__ = ["DATABASE", "PASSWORD", "USER", "app_from_environment", "deployable_app", "open_store"]

USER, PASSWORD, DATABASE = "AUTHORIZER_USER", "AUTHORIZER_PASSWORD", "AUTHORIZER_DATABASE_URL"
MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(24))' makes a good one"

log = logging.getLogger(__name__)


def open_store(url: str | None = None) -> KeyStore:
    """The payment keys at a URL, or in ``./authorizer-data``. Raises ConfigurationError, StoreUnavailable."""
    if not url:
        prepare_default_folder(DEFAULT_URL)
    return KeyStore(url or DEFAULT_URL)


def deployable_app(store: KeyStore, *, user: str, password: str) -> Flask:
    """The application, with credentials fit to be put on a network. Raises ConfigurationError.

    The guide's example, usr and pwd, is known to everybody who can read it: it is refused.
    """
    credentials = Credentials(user, password)
    if credentials.is_guides_example:
        raise ConfigurationError(f"usr and pwd are the guide's example: take others ({MAKE_ONE})")
    if credentials.is_short:
        log.warning("the password is short; %s", MAKE_ONE)
    return create_app(store, user=user, password=password)


def app_from_environment(environment: Mapping[str, str]) -> Flask:
    """The application as the environment describes it. Raises ConfigurationError, StoreUnavailable."""
    for name in (USER, PASSWORD):
        if not environment.get(name):
            raise ConfigurationError(f"set {name} in the environment")
    store = open_store(environment.get(DATABASE))
    return deployable_app(store, user=environment[USER], password=environment[PASSWORD])
