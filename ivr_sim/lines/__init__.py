"""IVR lines: one in the process of the exchange, or several in processes of their own.

    parent                                             line process, one for each account
      exchange, authorizer, stand-in, ledger             telephone, media, dialogue, its own voice
      journal, call folders, diagnosis of telephones     clients of authorizer and Openpay
         |-- LineOrder ------------------------------------>|
         |<-- Ready, then Told (journal), Exchanged (HTTP) --|
         |<-- Ask: a call's name, the ledger --- Reply ----->|
         |-- Ping every second --------------- Pong ------->|

A charge's intent is committed by the parent before the line sends it, so a line may end at any moment.
"""

from ivr_sim.lines.crew import LineCrew
from ivr_sim.lines.line import ECHO, KEYPAD, MERCHANT_KEYS, NUMBERS, Line, PbxAccount, open_library
from ivr_sim.lines.message import LineOrder

__all__ = [
    "ECHO",
    "KEYPAD",
    "MERCHANT_KEYS",
    "NUMBERS",
    "Line",
    "LineCrew",
    "LineOrder",
    "PbxAccount",
    "open_library",
]
