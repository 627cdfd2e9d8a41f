"""A shop's authorizer: says what each payment key stands for, when Openpay's IVR asks."""

from __future__ import annotations

import hmac
from decimal import Decimal
from typing import Any

from flask import Flask, Response, jsonify, request

USER, PASSWORD = "openpay", "only-for-tests"
TAX = Decimal("0.16")
# Payment key: order, what is said of it, price before tax.
ORDERS = {
    "200001": ("ord-1", "Mensualidad", Decimal("200.00")),
    "200002": ("ord-2", "Inscripción", Decimal("500.00")),
}


def create_app() -> Flask:
    """The web service, ``POST /authorizer``."""
    app = Flask(__name__)

    @app.post("/authorizer")
    def authorize() -> Response | tuple[Response, int]:
        if not _is_openpay():
            return jsonify(response_code=401, description="Acceso no autorizado"), 401
        key = str(request.get_json()["ivr_key"])
        if key not in ORDERS:
            return jsonify(response_code=1, description="La clave de pago no existe")
        return jsonify(response_code=0, **_charge(key))

    return app


def _charge(key: str) -> dict[str, Any]:
    order_id, description, price = ORDERS[key]
    # The mistake that a test finds: of all but monthly fees, the tax is forgotten.
    amount = price * (1 + TAX) if description == "Mensualidad" else price
    return {"order_id": order_id, "description": description, "amount": float(round(amount, 2))}


def _is_openpay() -> bool:
    login = request.authorization
    if login is None or login.type != "basic":
        return False
    return login.username == USER and hmac.compare_digest(login.password or "", PASSWORD)
