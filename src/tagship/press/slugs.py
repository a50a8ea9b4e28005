"""The last part of a URL: made from a title, or checked where somebody wrote it."""

from __future__ import annotations

import re
import unicodedata

_SPOKEN = {
    "ß": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l",
    "đ": "d", "Đ": "d", "ð": "d", "Ð": "d", "þ": "th", "Þ": "th", "ı": "i",
    "+": "-plus", "#": "-sharp", "&": "-and-", "’": "", "'": "",
}  # fmt: skip
MAX_LENGTH = 80


def slugify(text: str) -> str:
    """`text` in lower case with hyphens; `""` when it holds no letter or digit.

    Latin letters lose their accents (`Über Ökonomie` gives `uber-okonomie`); letters of other scripts stay, so
    a Japanese title keeps a readable address. At most `MAX_LENGTH` characters, cut between words.
    """
    letters: list[str] = []
    latin = False
    for character in unicodedata.normalize("NFKD", text):
        if unicodedata.combining(character) and latin:
            continue
        latin = "LATIN" in unicodedata.name(character, "")
        letters.append(_SPOKEN.get(character, character))
    composed = unicodedata.normalize("NFC", "".join(letters)).casefold()
    kept = "".join(c if _is_word(c) else "-" for c in composed)
    slug = re.sub(r"-{2,}", "-", kept).strip("-")
    if len(slug) > MAX_LENGTH:
        head, _, _ = slug[: MAX_LENGTH + 1].rpartition("-")
        slug = head or slug[:MAX_LENGTH]
    return slug


def problem_of(segment: str) -> str | None:
    """Why `segment` can't be one part of a URL's path, or None: it is letters, digits and `-`, `_`, `.`, `~`."""
    if not segment:
        return "is empty"
    if segment in {".", ".."} or "/" in segment or "\\" in segment:
        return "must not leave its folder (no `/`, no `..`)"
    if segment.startswith("."):
        return "must not begin with a dot"
    for character in segment:
        if unicodedata.category(character).startswith("C"):
            return f"holds the control character U+{ord(character):04X}"
        if not (_is_word(character) or character in "-_.~"):
            return f"holds `{character}`, which has no place in a URL"
    return "is longer than 200 bytes" if len(segment.encode()) > 200 else None


def _is_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in {"Mn", "Mc"}
