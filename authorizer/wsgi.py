"""The application for a WSGI server, made from the environment: ``gunicorn authorizer.wsgi:app``."""

from __future__ import annotations

import os

from .settings import app_from_environment

__all__ = ["app"]

app = app_from_environment(os.environ)
