"""The conversations, without clock, network or audio: paying (the guide's steps), trying a telephone out."""

from ivr_sim.dialogue.echo import echo_test
from ivr_sim.dialogue.keypad import keypad_test
from ivr_sim.dialogue.payment import take_payment
from ivr_sim.dialogue.shop import TRIED, Ending, Limits, Outcome, Shop

__all__ = ["TRIED", "Ending", "Limits", "Outcome", "Shop", "echo_test", "keypad_test", "take_payment"]
