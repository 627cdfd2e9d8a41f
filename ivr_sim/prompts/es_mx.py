"""Mexican Spanish: every sentence that a caller can hear.

The caller is addressed as *usted*, and we are *nosotros*; ``#`` is the *tecla gato*, ``*`` the *tecla
asterisco*; one *marca* digits, a menu's among them, and *presiona* a key that is none. Each text is one
or more whole sentences, true wherever the dialogue says it. Where the issuer says that a card is lost,
stolen or suspected, the caller hears only that the bank does not allow it: whoever holds the telephone
need not be the card's owner.
"""

from __future__ import annotations

from ivr_sim.prompts.template import Choice, Texts

__all__ = ["TEXTS"]

_CALL_YOUR_BANK = "Su banco no autorizó el pago con esta tarjeta. Comuníquese con su banco."
_NOT_USABLE = "Esta tarjeta no puede usarse para este pago. Comuníquese con su banco."
_TEST_CARDS_ONLY = "Este es un sistema de pruebas. Use solo tarjetas de prueba."
_NO_ENTRY = "No marcó ningún dígito."

TEXTS: Texts = {
    # The payment key.
    "welcome": Choice(
        "merchant",
        {"": "Le damos la bienvenida al servicio de pagos por teléfono."},
        otherwise="Le damos la bienvenida al servicio de pagos por teléfono de {merchant}.",
    ),
    "ask_key": "Marque su clave de pago y, al terminar, presione la tecla gato.",
    "bad_key": Choice(
        "reason",
        {
            "silence": "No recibimos su clave de pago.",
            "empty": _NO_ENTRY,
            "too_short": "La clave de pago está incompleta.",
            "too_long": "La clave de pago que marcó tiene demasiados dígitos.",
            "leading_zero": "Las claves de pago no empiezan con cero.",
            "not_digits": "La clave de pago solo lleva números.",
        },
        otherwise="La clave de pago que marcó no es válida.",
    ),
    "key_refused": Choice(
        "description",
        {"": "No es posible pagar con esa clave."},
        otherwise="No es posible pagar con esa clave. El comercio responde: {description}.",
    ),
    "authorizer_failed": (
        "Por el momento no podemos consultar su clave de pago. En esta llamada no se hizo ningún cargo. "
        "Disculpe las molestias. Intente de nuevo más tarde."
    ),
    # The amount.
    "amount": Choice(
        "description",
        {"": "Va a pagar {amount}."},
        otherwise="Va a pagar {amount}. Concepto: {description}.",
    ),
    "ask_accept": (
        "Para aceptar el pago, marque uno. Para rechazarlo, marque dos. "
        "Para escuchar de nuevo el importe, marque tres."
    ),
    "bad_choice": Choice(
        "reason",
        {"silence": "No recibimos su respuesta.", "empty": "No recibimos su respuesta."},
        otherwise="Esa opción no es válida.",
    ),
    "rejected": "Usted rechazó el pago. No se hizo ningún cargo.",
    # The card.
    "ask_card": "Marque el número de su tarjeta y, al terminar, presione la tecla gato.",
    "bad_card": Choice(
        "reason",
        {
            "silence": "No recibimos el número de su tarjeta.",
            "empty": _NO_ENTRY,
            "too_short": "El número de tarjeta está incompleto.",
            "too_long": "El número de tarjeta que marcó tiene demasiados dígitos.",
            "not_digits": "El número de tarjeta solo lleva números.",
            "luhn": "El número de tarjeta no es correcto. Revíselo, por favor.",
            "not_test_card": _TEST_CARDS_ONLY,
        },
        otherwise="El número de tarjeta que marcó no es válido.",
    ),
    "ask_expiry": (
        "Marque la fecha de vencimiento de su tarjeta: dos dígitos para el mes y dos para el año."
    ),
    "bad_expiry": Choice(
        "reason",
        {
            "silence": "No recibimos la fecha de vencimiento.",
            "empty": _NO_ENTRY,
            "expiry_length": "La fecha de vencimiento lleva cuatro dígitos.",
            "month": "El mes que marcó no existe. Los meses van del cero uno al doce.",
            "expired": "Según la fecha que marcó, la tarjeta ya venció.",
            "too_far": "El año de vencimiento que marcó no es válido.",
        },
        otherwise="La fecha de vencimiento que marcó no es válida.",
    ),
    "ask_cvv": Choice(
        "digits",
        {
            "3": "Marque los tres dígitos del código de seguridad, que está al reverso de su tarjeta.",
            "4": "Marque los cuatro dígitos del código de seguridad, que está al frente de su tarjeta.",
        },
        otherwise="Marque el código de seguridad de su tarjeta.",
    ),
    "bad_cvv": Choice(
        "reason",
        {
            "silence": "No recibimos el código de seguridad.",
            "empty": _NO_ENTRY,
            "cvv_length": "El código de seguridad no tiene el número correcto de dígitos.",
        },
        otherwise="El código de seguridad que marcó no es válido.",
    ),
    # The charge and what came of it.
    "one_moment": "Un momento, por favor. Estamos procesando su pago.",
    "approved": Choice(
        "authorization",
        {"": "Su pago fue aprobado."},
        otherwise=(
            "Su pago fue aprobado. Número de autorización: {authorization}. Repetimos: {authorization}."
        ),
    ),
    "declined": Choice(
        "code",
        {
            "2004": "El número de la tarjeta no es correcto.",
            "2005": "La tarjeta ya venció.",
            "2006": "Falta el código de seguridad de la tarjeta.",
            "2007": _TEST_CARDS_ONLY,
            "2008": "Esta tarjeta no acepta pagos con puntos.",
            "2009": "El código de seguridad de la tarjeta no es correcto.",
            "2010": "No fue posible comprobar la identidad del titular de la tarjeta.",
            "2011": "No se aceptan pagos con este tipo de tarjeta.",
            "3001": _CALL_YOUR_BANK,
            "3002": "La tarjeta ya venció.",
            "3003": "La tarjeta no tiene fondos suficientes.",
            "3004": _NOT_USABLE,
            "3005": "Por seguridad, el pago con esta tarjeta no fue autorizado.",
            "3006": "Esta operación no está permitida con esta tarjeta.",
            "3007": _CALL_YOUR_BANK,
            "3008": "Esta tarjeta no acepta compras por teléfono ni por internet.",
            "3009": _NOT_USABLE,
            "3010": "Su banco restringió el uso de esta tarjeta. Comuníquese con su banco.",
            "3011": _NOT_USABLE,
            "3012": "Este pago necesita la autorización de su banco. Comuníquese con su banco.",
        },
        otherwise="El pago con esta tarjeta no fue autorizado.",
    ),
    "ask_another_card": "Para intentar con otra tarjeta, marque uno. Para terminar, marque dos.",
    "already_paid": "Este pago ya se había realizado. No se hizo ningún cargo nuevo.",
    "openpay_failed": (
        "Por el momento no podemos procesar su pago. No se hizo ningún cargo. "
        "Disculpe las molestias. Intente de nuevo más tarde."
    ),
    "unknown_outcome": (
        "Aún no podemos confirmar si su pago se realizó. "
        "Para evitar un cargo doble, no vuelva a pagar antes de verificarlo con el comercio."
    ),
    # The numbers for trying a telephone out.
    "echo": "Prueba de eco. Todo lo que diga lo escuchará de inmediato. Para terminar, cuelgue.",
    "keypad": (
        "Prueba de teclado. No marque aquí tarjetas reales. Presione las teclas que quiera probar, y le "
        "diremos cómo llegó cada una. Para terminar, presione dos veces la tecla gato."
    ),
    "keypad_key": Choice(
        "method",
        {
            "inband": "{pressed}, por tono, {milliseconds}, {level}, twist {twist}.",
            "rfc4733": "{pressed}, por evento telefónico, {milliseconds}, {level}.",
            "info": "{pressed}, por mensaje de señalización, {milliseconds}.",
        },
        otherwise="{pressed}, {milliseconds}.",
    ),
    "keypad_hidden_key": Choice(
        "method",
        {
            "inband": "Una tecla, por tono.",
            "rfc4733": "Una tecla, por evento telefónico.",
            "info": "Una tecla, por mensaje de señalización.",
        },
        otherwise="Una tecla.",
    ),
    "keypad_hides": (
        "Por seguridad, decimos solo cinco dígitos seguidos. "
        "Para seguir probando, presione la tecla gato o la tecla asterisco."
    ),
    "keypad_hides_all": (
        "Marcó tantos dígitos como los de una tarjeta. Por seguridad, ya no diremos qué teclas presiona."
    ),
    # Ends and reminders.
    "too_many_tries": "Ha llegado al límite de intentos.",
    "time_limit": "La llamada llegó al tiempo máximo permitido.",
    "goodbye": "Gracias por llamar. Hasta luego.",
}
