"""Colours as CSS writes them, and how well one is read on another (WCAG 2.2: relative luminance, contrast ratio)."""

from __future__ import annotations

import colorsys
import re
from typing import NamedTuple

_NAMED = {
    "aqua": "#00ffff", "black": "#000000", "blue": "#0000ff", "fuchsia": "#ff00ff", "gray": "#808080",
    "green": "#008000", "grey": "#808080", "lime": "#00ff00", "maroon": "#800000", "navy": "#000080",
    "olive": "#808000", "orange": "#ffa500", "purple": "#800080", "red": "#ff0000", "silver": "#c0c0c0",
    "teal": "#008080", "transparent": "#00000000", "white": "#ffffff", "yellow": "#ffff00",
}  # fmt: skip
_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})\Z")
_FUNCTION = re.compile(r"(rgb|hsl)a?\(([^()]*)\)\Z")


class Colour(NamedTuple):
    """Red, green, blue and alpha, each from 0 to 1."""

    red: float
    green: float
    blue: float
    alpha: float = 1.0

    def over(self, below: Colour) -> Colour:
        """What is seen where this lies on `below`, which is opaque."""
        mixed = (
            top * self.alpha + bottom * (1 - self.alpha) for top, bottom in zip(self[:3], below[:3], strict=True)
        )
        return Colour(*mixed)

    def __str__(self) -> str:
        return "#" + "".join(f"{round(part * 255):02x}" for part in self[:3])


WHITE = Colour(1, 1, 1)


def read(text: str) -> Colour | None:
    """A colour from CSS; None for what this doesn't know (`oklch()`, the rarer names)."""
    text = text.strip().lower()
    text = _NAMED.get(text, text)
    if _HEX.match(text):
        digits = text[1:] if len(text) > 5 else "".join(digit * 2 for digit in text[1:])
        return Colour(*(int(digits[at : at + 2], 16) / 255 for at in range(0, len(digits), 2)))
    function = _FUNCTION.match(text)
    return _of_function(function[1], re.split(r"[\s,/]+", function[2].strip())) if function else None


def _of_function(name: str, words: list[str]) -> Colour | None:
    try:
        alpha = _share(words[3], 1) if len(words) > 3 else 1.0
        if name == "rgb":
            red, green, blue = (_share(word, 255) for word in words[:3])
            return Colour(red, green, blue, alpha)
        hue = float(words[0].removesuffix("deg")) / 360 % 1
        return Colour(*colorsys.hls_to_rgb(hue, _share(words[2], 100), _share(words[1], 100)), alpha)
    except (ValueError, IndexError):
        return None


def _share(word: str, whole: float) -> float:
    value = float(word[:-1]) / 100 if word.endswith("%") else float(word) / whole
    return min(max(value, 0.0), 1.0)


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two opaque colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
