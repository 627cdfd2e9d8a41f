"""How the IVR reaches the merchant's authorizer and Openpay."""

from ivr_sim.clients.access import Access, Outside
from ivr_sim.clients.acquirer import BETWEEN_LOOKS, OpenpayAcquirer
from ivr_sim.clients.authorizer import AuthorizerClient
from ivr_sim.clients.cashier import Cashier
from ivr_sim.clients.openpay import OpenpayClient, OpenpayRefused, OpenpayUnreachable

__all__ = [
    "BETWEEN_LOOKS",
    "Access",
    "AuthorizerClient",
    "Cashier",
    "OpenpayAcquirer",
    "OpenpayClient",
    "OpenpayRefused",
    "OpenpayUnreachable",
    "Outside",
]
