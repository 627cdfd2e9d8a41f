"""The conversation: the guide's steps as one coroutine, without clock, network or audio."""

from ivr_sim.dialogue.payment import take_payment
from ivr_sim.dialogue.shop import Ending, Limits, Outcome, Shop

__all__ = ["Ending", "Limits", "Outcome", "Shop", "take_payment"]
