"""Text on pictures, with the font that Pillow brings along: no font of the system is needed.

That font knows ASCII and little else: accents are left out, and other signs become question marks.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Colour", "font", "plain", "sideways", "width_of", "write"]

Colour = tuple[int, int, int]

_NARROW = 3  # pixels: no letter that matters has less
_MOST = 300  # letters of one text
_FONTS: dict[int, Any] = {}


def font(size: int) -> Any:
    """The font in a size in pixels."""
    if size not in _FONTS:
        _FONTS[size] = ImageFont.load_default(size)
    return _FONTS[size]


def width_of(text: str, size: int) -> float:
    """Of a text, in pixels."""
    return float(font(size).getlength(text))


def plain(text: str) -> str:
    """A text in the signs that the font has."""
    letters = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in letters)


def write(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    colour: Colour,
    *,
    size: int = 13,
    width: float | None = None,
) -> None:
    """A text, its upper left corner at ``place``, cut to a width; nothing where not even two letters fit."""
    text = plain(text)[:_MOST]
    letters = font(size)
    if width is not None:
        text = text[: max(int(width // _NARROW), 0)]  # to measure a text takes time, and there may be many
        while text and letters.getlength(text) > width:
            text = text[:-1]
        if len(text) < 2:
            return
    pen.text(place, text, fill=colour, font=letters)


def sideways(
    image: Image.Image, place: tuple[float, float], text: str, colour: Colour, *, size: int = 11
) -> None:
    """A text that is read from below, its upper left corner at ``place``."""
    mask = Image.new("L", (int(width_of(text, size)) + 2, size + 4), 0)
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=font(size))
    mask = mask.rotate(90, expand=True)
    image.paste(colour, (round(place[0]), round(place[1])), mask)
