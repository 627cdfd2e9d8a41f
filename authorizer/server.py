"""The threaded server behind ``authorizer serve``: werkzeug's, told to be discreet and to lose patience."""

from __future__ import annotations

import ipaddress
import logging
import socket

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from .errors import ConfigurationError

__all__ = ["Handler", "is_loopback", "listen"]

log = logging.getLogger(__name__)


class Handler(WSGIRequestHandler):
    """Names no product, and answers JSON also where a request never reaches the application."""

    timeout = 10  # seconds for which a peer may be silent; without it, a silent one holds its thread
    error_content_type = "application/json"
    error_message_format = '{"response_code": %(code)d, "description": "Solicitud inválida"}'

    def version_string(self) -> str:
        """The Server header."""
        return "authorizer"

    def handle_expect_100(self) -> bool:
        """Say nothing here: werkzeug sends ``100 Continue`` by itself, and once is enough."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One plain line per request; the peer's text is quoted, so that it cannot forge a line."""
        log.info("%s %s %s", self.address_string(), ascii(self.requestline), code)


def listen(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """A server that listens already; ``serve_forever`` serves. port: 0 takes a free one, see ``server.port``.

    Raises ConfigurationError when the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error}") from None
    with listener:  # werkzeug duplicates it; left to itself, it would end the process on a taken port
        return make_server(host, port, app, threaded=True, request_handler=Handler, fd=listener.fileno())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
