"""Openpay's API as a Flask application: the part that payments by telephone touch.

    POST /v1/{merchant_id}/tokens          private or public key; 201
    GET  /v1/{merchant_id}/tokens/{id}
    POST /v1/{merchant_id}/charges         by token, or confirm "ivr"; 200
    GET  /v1/{merchant_id}/charges/{id}
    GET  /v1/{merchant_id}/charges         order_id, limit (10), offset (0); an array, newest first

HTTP Basic with the key as user and no password. Every answer that is not a success, a wrong path and a
wrong method included, is the error object. Nothing of a request is logged.
"""

from __future__ import annotations

import hmac
import secrets
import traceback
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import structlog
from flask import Flask, Response, request
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from ivr_sim.openpay import wire
from ivr_sim.openpay.charges import create_charge, find_charge
from ivr_sim.openpay.errors import OpenpayError
from ivr_sim.openpay.models import ChargeRequest, TokenRequest
from ivr_sim.openpay.store import Store
from ivr_sim.openpay.tokens import create_token, find_token

__all__ = ["create_app"]

log = structlog.get_logger(__name__)

MAX_BODY = 64 * 1024  # bytes
MAX_LIMIT = 100  # charges in one list
Asked = TypeVar("Asked", bound=BaseModel)


def create_app(
    store: Store,
    *,
    merchant_id: str,
    private_key: str,
    public_key: str,
    now: Callable[[], datetime],
    ivr_phone_number: str = "525588969143",
    randbelow: Callable[[int], int] = secrets.randbelow,
) -> Flask:
    """The API of one merchant.

    now: the wall clock, aware of its zone. ivr_phone_number: the number to call, as IVR charges tell it.
    randbelow: draws the bank's authorisation numbers, and the ids of charges.
    """
    app = Flask("ivr_sim.openpay", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # a path that is nearly right is not there, rather than redirected

    def sign_in(merchant: str, *, public: bool = False) -> None:
        """Raises OpenpayError 1002 (wrong merchant or key) or 1010 (the public key is not enough)."""
        given = request.authorization
        user = (given.username or "") if given is not None and given.type == "basic" else ""
        password = (given.password or "") if given is not None and given.type == "basic" else ""
        # All are compared, whichever is wrong.
        known = _same(merchant, merchant_id) & _same(password, "")
        is_private, is_public = _same(user, private_key), _same(user, public_key)
        if not known & (is_private | is_public):
            raise OpenpayError(1002)
        if is_public and not public:
            raise OpenpayError(1010)

    @app.before_request
    def refuse_nul() -> None:
        """No name holds a NUL, and PostgreSQL would fail to look for it. Raises OpenpayError 1005, 1001."""
        if "\x00" in request.path:
            raise OpenpayError(1005)
        if any("\x00" in value for value in request.args.values()):
            raise OpenpayError(1001, "The query holds a NUL")

    @app.post("/v1/<merchant>/tokens")
    def post_token(merchant: str) -> Response:
        sign_in(merchant, public=True)
        return _answer(create_token(store, merchant, _body(TokenRequest), now()).as_json(), 201)

    @app.get("/v1/<merchant>/tokens/<token_id>")
    def get_token(merchant: str, token_id: str) -> Response:
        sign_in(merchant)
        return _answer(find_token(store, merchant, token_id).as_json())

    @app.post("/v1/<merchant>/charges")
    def post_charge(merchant: str) -> Response:
        sign_in(merchant)
        asked = _body(ChargeRequest)
        charge = create_charge(
            store,
            merchant,
            asked,
            now(),
            ivr_phone_number=ivr_phone_number,
            randbelow=randbelow,
        )
        return _answer(charge.as_json())

    @app.get("/v1/<merchant>/charges")
    def list_charges(merchant: str) -> Response:
        sign_in(merchant)
        found = store.charges(
            merchant_id=merchant,
            order_id=request.args.get("order_id"),
            limit=min(_number("limit", 10), MAX_LIMIT),
            offset=_number("offset", 0),
        )
        return _answer([charge.as_json() for charge in found])

    @app.get("/v1/<merchant>/charges/<charge_id>")
    def get_charge(merchant: str, charge_id: str) -> Response:
        sign_in(merchant)
        return _answer(find_charge(store, merchant, charge_id).as_json())

    app.register_error_handler(OpenpayError, _refused)
    app.register_error_handler(HTTPException, _http_refused)
    app.register_error_handler(SQLAlchemyError, _database_failed)
    app.register_error_handler(Exception, _failed)
    return app


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())


def _body(model: type[Asked]) -> Asked:
    """The request's body as a model. Raises OpenpayError 1001 or 1020, naming fields but never values."""
    try:
        read = wire.loads(request.get_data(cache=False))
    except ValueError:
        raise OpenpayError(1001, "The request body is not JSON in UTF-8") from None
    if not isinstance(read, dict):
        raise OpenpayError(1001, "The request body is not a JSON object")
    try:
        return model.model_validate(read)
    except ValidationError as invalid:
        wrong = invalid.errors(include_url=False, include_context=False, include_input=False)
    if any(error["type"] == "decimals" for error in wrong):
        raise OpenpayError(1020)
    first = wrong[0]
    # Deeper names may be the request's own (a key of metadata).
    field = str(first["loc"][0]) if first["loc"] else "body"
    missing = first["type"] == "missing" and len(first["loc"]) == 1
    raise OpenpayError(1001, f"{field} is required" if missing else f"{field} is not valid: {first['msg']}")


def _number(name: str, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise OpenpayError(1001, f"{name} must be a number from 0 to 999999999")
    return int(text)


def _answer(value: object, status: int = 200) -> Response:
    return Response(wire.dumps(value), status, mimetype="application/json")


def _error(error: OpenpayError, request_id: str | None = None) -> Response:
    return _answer(error.as_json(request_id or str(uuid.uuid4())), error.http)


def _refused(error: OpenpayError) -> Response:
    response = _error(error)
    if error.http == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="Openpay"'
    return response


def _http_refused(error: HTTPException) -> Response:
    """What Flask itself refuses: wrong path, wrong method, too large, malformed."""
    match error.code:
        case 404:
            return _error(OpenpayError(1005))
        case 405:
            response = _error(OpenpayError(1013, "Method not allowed", http=405))
            response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
            return response
        case 413:
            return _error(OpenpayError(1009))
        case code if code is not None and 400 <= code < 500:
            return _error(OpenpayError(1001, http=code))
        case _:
            return _failed(error)


def _database_failed(error: SQLAlchemyError) -> Response:
    return _log_and_answer(error, OpenpayError(1004))


def _failed(error: Exception) -> Response:
    return _log_and_answer(error, OpenpayError(1000))


def _log_and_answer(error: Exception, told: OpenpayError) -> Response:
    # Where it happened, but neither its message nor its variables: they may hold what was sent.
    request_id = str(uuid.uuid4())
    where = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    log.error("the stand-in failed", error=type(error).__name__, where=where, request_id=request_id)
    return _error(told, request_id)
