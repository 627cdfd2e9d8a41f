"""American English: every sentence that a caller can hear.

``#`` is the *pound key*, ``*`` the *star key*; one *enters* digits and *presses* a single key. Names,
parameters and cases are those of ``es_mx``, and so is what may be told: of a card that is lost, stolen or
suspected, only that it cannot be used. The currency is the charge's own, most often pesos.
"""

from __future__ import annotations

from ivr_sim.prompts.template import Choice, Texts

__all__ = ["TEXTS"]

_CALL_YOUR_BANK = "Your bank did not authorize the payment with this card. Please contact your bank."
_NOT_USABLE = "This card cannot be used for this payment. Please contact your bank."
_TEST_CARDS_ONLY = "This is a test system. Please use test cards only."
_NO_ENTRY = "You did not enter any digits."

TEXTS: Texts = {
    # The payment key.
    "welcome": Choice(
        "merchant",
        {"": "Welcome to the telephone payment service."},
        otherwise="Welcome to the telephone payment service of {merchant}.",
    ),
    "ask_key": "Please enter your payment key, followed by the pound key.",
    "bad_key": Choice(
        "reason",
        {
            "silence": "We did not receive your payment key.",
            "empty": _NO_ENTRY,
            "too_short": "The payment key is incomplete.",
            "too_long": "The payment key you entered has too many digits.",
            "leading_zero": "Payment keys do not begin with zero.",
            "not_digits": "A payment key has only digits.",
        },
        otherwise="The payment key you entered is not valid.",
    ),
    "key_refused": Choice(
        "description",
        {"": "That payment key cannot be used to pay."},
        otherwise="That payment key cannot be used to pay. The merchant says: {description}.",
    ),
    "authorizer_failed": (
        "We are unable to look up your payment key at this time. You were not charged during this call. "
        "We apologize for the inconvenience. Please try again later."
    ),
    # The amount.
    "amount": Choice(
        "description",
        {"": "You are about to pay {amount}."},
        otherwise="You are about to pay {amount}. Description: {description}.",
    ),
    "ask_accept": (
        "To accept the payment, press one. To decline it, press two. To hear the amount again, press three."
    ),
    "bad_choice": Choice(
        "reason",
        {"silence": "We did not receive your answer.", "empty": "We did not receive your answer."},
        otherwise="That is not a valid option.",
    ),
    "rejected": "You declined the payment. You have not been charged.",
    # The card.
    "ask_card": "Please enter your card number, followed by the pound key.",
    "bad_card": Choice(
        "reason",
        {
            "silence": "We did not receive your card number.",
            "empty": _NO_ENTRY,
            "too_short": "The card number is incomplete.",
            "too_long": "The card number you entered has too many digits.",
            "not_digits": "A card number has only digits.",
            "luhn": "The card number is not correct. Please check it and try again.",
            "not_test_card": _TEST_CARDS_ONLY,
        },
        otherwise="The card number you entered is not valid.",
    ),
    "ask_expiry": (
        "Please enter your card's expiration date: two digits for the month and two for the year."
    ),
    "bad_expiry": Choice(
        "reason",
        {
            "silence": "We did not receive the expiration date.",
            "empty": _NO_ENTRY,
            "expiry_length": "The expiration date has four digits.",
            "month": "The month you entered does not exist. Months go from zero one to twelve.",
            "expired": "According to the date you entered, your card has expired.",
            "too_far": "The year you entered is not valid.",
        },
        otherwise="The expiration date you entered is not valid.",
    ),
    "ask_cvv": Choice(
        "digits",
        {
            "3": "Please enter the three-digit security code on the back of your card.",
            "4": "Please enter the four-digit security code on the front of your card.",
        },
        otherwise="Please enter your card's security code.",
    ),
    "bad_cvv": Choice(
        "reason",
        {
            "silence": "We did not receive the security code.",
            "empty": _NO_ENTRY,
            "cvv_length": "The security code does not have the right number of digits.",
        },
        otherwise="The security code you entered is not valid.",
    ),
    # The charge and what came of it.
    "one_moment": "One moment, please. We are processing your payment.",
    "approved": Choice(
        "authorization",
        {"": "Your payment was approved."},
        otherwise=(
            "Your payment was approved. Your authorization number is {authorization}. "
            "Again, that is {authorization}."
        ),
    ),
    "declined": Choice(
        "code",
        {
            "2004": "The card number is not correct.",
            "2005": "This card has expired.",
            "2006": "The card's security code is missing.",
            "2007": _TEST_CARDS_ONLY,
            "2008": "This card does not accept payments with points.",
            "2009": "The card's security code is not correct.",
            "2010": "The identity of the cardholder could not be verified.",
            "2011": "This type of card is not accepted.",
            "3001": _CALL_YOUR_BANK,
            "3002": "This card has expired.",
            "3003": "This card has insufficient funds.",
            "3004": _NOT_USABLE,
            "3005": "For security reasons, the payment with this card was not authorized.",
            "3006": "This operation is not allowed with this card.",
            "3007": _CALL_YOUR_BANK,
            "3008": "This card does not accept telephone or online purchases.",
            "3009": _NOT_USABLE,
            "3010": "Your bank has restricted the use of this card. Please contact your bank.",
            "3011": _NOT_USABLE,
            "3012": "This payment needs your bank's authorization. Please contact your bank.",
        },
        otherwise="The payment with this card was not authorized.",
    ),
    "ask_another_card": "To try another card, press one. To finish, press two.",
    "already_paid": "This payment had already been made. You have not been charged again.",
    "openpay_failed": (
        "We are unable to process your payment at this time. You have not been charged. "
        "We apologize for the inconvenience. Please try again later."
    ),
    "unknown_outcome": (
        "We cannot confirm yet whether your payment went through. "
        "To avoid being charged twice, do not pay again before checking with the merchant."
    ),
    # The numbers for trying a telephone out.
    "echo": "Echo test. Everything you say will be played back to you at once. To finish, hang up.",
    "keypad": (
        "Keypad test. Do not enter real cards here. Press any keys you want to try, and we will tell you "
        "how each one arrived. To finish, press the pound key twice."
    ),
    "keypad_key": Choice(
        "method",
        {
            "inband": "{pressed}, by tone, {milliseconds}, {level}, twist {twist}.",
            "rfc4733": "{pressed}, by telephone event, {milliseconds}, {level}.",
            "info": "{pressed}, by signaling message, {milliseconds}.",
        },
        otherwise="{pressed}, for {milliseconds}.",
    ),
    "keypad_hidden_key": Choice(
        "method",
        {
            "inband": "A key, by tone.",
            "rfc4733": "A key, by telephone event.",
            "info": "A key, by signaling message.",
        },
        otherwise="A key.",
    ),
    "keypad_hides": (
        "For security, we say no more than five digits in a row. "
        "To go on with your test, press the pound key or the star key."
    ),
    "keypad_hides_all": (
        "You entered as many digits as a card has. For security, we will no longer say which keys you press."
    ),
    # Ends and reminders.
    "too_many_tries": "You have reached the maximum number of attempts.",
    "time_limit": "The maximum time for this call has been reached.",
    "goodbye": "Thank you for calling. Goodbye.",
}
