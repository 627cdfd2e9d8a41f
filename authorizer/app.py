"""The web service that Openpay's IVR asks: a Flask application for any WSGI server.

Guide, "Service to authorize IVR payments" (L113-176). A lookup is one SELECT by primary key, far below
the 5 s that Openpay waits (L172). Whatever a peer sends, it gets JSON back, never a page or a trace.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from .credentials import Credentials
from .errors import ConfigurationError, StoreUnavailable
from .keys import KeyStore
from .wire import MAX_BODY, BadRequest, read_request, write_error, write_reply

__all__ = ["DEFAULT_PATH", "create_app"]

DEFAULT_PATH = "/openpay/authorizer"  # guide L127

log = logging.getLogger(__name__)


def create_app(store: KeyStore, *, user: str, password: str, path: str = DEFAULT_PATH) -> Flask:
    """The authorizer as a WSGI application: ``POST path`` for Openpay, ``GET /health`` for your monitoring.

    user, password: what Openpay identifies itself with by HTTP Basic. path: where the service is, plain
    text that starts with a slash. Raises ConfigurationError.
    """
    credentials = Credentials(user, password)
    if not path.startswith("/") or set(path) & set("<>?#") or path.rstrip("/") in ("", "/health"):
        raise ConfigurationError("the path starts with a slash, and is neither / nor /health")

    app = Flask(__name__, static_folder=None)
    # One more than the cap: of a body without a length, werkzeug gives the first so many bytes and does
    # not say that there are more.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1
    # No redirects: a redirected POST may arrive as a GET (guide L121), and its target would be built
    # from the Host header. With and without a slash at the end, the path is the same.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    @app.post(path, provide_automatic_options=False)
    def authorize() -> Response:
        # Credentials first: who has none learns nothing about bodies or payment keys.
        if not credentials.accept(request.headers.get("Authorization")):
            log.warning("refused wrong credentials from %s", request.remote_addr)
            unauthorized = reply(write_error(401), 401)
            unauthorized.headers["WWW-Authenticate"] = 'Basic realm="openpay-authorizer", charset="UTF-8"'
            return unauthorized
        # Parameters are ignored: charset has no meaning for JSON (RFC 8259 section 11).
        if request.mimetype != "application/json":
            return reply(write_error(415), 415)
        # A server that cannot tell where a body without a length ends would make it look empty.
        if request.content_length is None and not request.environ.get("wsgi.input_terminated"):
            return reply(write_error(411), 411)
        try:
            body = request.get_data(cache=False)
        except HTTPException:
            raise
        except Exception as error:  # each server has errors of its own for chunks that are none
            raise BadRequest("No se pudo leer el cuerpo") from error
        if len(body) > MAX_BODY:
            return reply(write_error(413), 413)
        payment_key = store.find(read_request(body))
        log.info("looked a payment key up: %s", payment_key.state if payment_key else "unknown")
        return reply(write_reply(payment_key))

    @app.get("/health", provide_automatic_options=False)
    def health() -> Response:
        store.check()
        return reply(b'{"status": "ok"}')

    @app.errorhandler(BadRequest)
    def bad_request(error: BadRequest) -> Response:
        return reply(write_error(400, str(error)), 400)

    @app.errorhandler(StoreUnavailable)
    def unavailable(error: StoreUnavailable) -> Response:
        log.error("%s", error)
        return reply(write_error(503), 503)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        response = reply(write_error(status), status)
        if "Allow" in (given := error.get_response().headers):
            response.headers["Allow"] = given["Allow"]
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        return reply(write_error(500), 500)

    @app.after_request
    def not_stored(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def reply(body: bytes, status: int = 200) -> Response:
    """A JSON response; RFC 8259 knows no charset parameter."""
    return Response(body, status, content_type="application/json")
