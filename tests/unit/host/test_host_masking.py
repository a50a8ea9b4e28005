"""Secrets in what commands and services say: out of sight in every spelling, however the text was cut and folded."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tagship.host.masking import MASK, last_words, mask

SECRET = "Zq~7/kÜ+'w\"=?<Yx>&83"
PEM = "-----BEGIN KEY-----\n" + "\n".join(textwrap.wrap("MIIEvQ/+aB3" * 60, 64)) + "\n-----END KEY-----"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "repr": repr,
    "json": json.dumps,
    "json of PHP": lambda text: json.dumps(text).replace("/", "\\/"),
    "html": html.escape,
    "shell": shlex.quote,
    "url": lambda text: quote(text, safe=""),
    "url path": quote,
    "form": quote_plus,
    "url in lower case": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in base64's folds": lambda text: base64.encodebytes(b"x" * 50 + text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"user:" + text.encode()).decode(),
    "folded": lambda text: "\n".join(textwrap.wrap(text.replace(" ", ""), 7, drop_whitespace=False)),
}


def leaks(text: str, secret: str, whole: int = 8) -> list[str]:
    """Pieces of the secret, in any spelling, that can still be read."""
    bare = text.replace("\n", "")
    forms = [secret, *(quoted(secret) for quoted in (repr, json.dumps, html.escape, quote, quote_plus))]
    for before in range(3):  # base64 codes three bytes at a time
        coded = base64.b64encode(b"x" * before + secret.encode()).decode().strip("=")[2:]
        forms += [coded, coded.replace("+", "-").replace("/", "_")]
    return [
        piece for form in forms for at in range(len(form) - whole + 1) if (piece := form[at : at + whole]) in bare
    ]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_hidden(spelling: str) -> None:
    """Whatever stands around it; and as many lines come out as went in."""
    lines = f"before {SPELLINGS[spelling](SECRET)} after".split("\n")
    masked = mask(lines, {"NAME": SECRET})
    assert len(masked) == len(lines)
    assert MASK in "\n".join(masked)
    assert masked[0].startswith("before ")
    assert masked[-1].endswith(" after")
    assert leaks("\n".join(masked), SECRET) == []


def test_a_key_of_many_lines_is_hidden_line_by_line() -> None:
    """An env file has it on one line, with `\\\\n` for line breaks; what uses it prints it as it is."""
    value = PEM.replace("\n", "\\n")
    shown = [*PEM.split("\n"), base64.b64encode(PEM.encode()).decode(), value]
    masked = mask(["it is", *shown, "that"], {"KEY": value})
    assert masked[0] == "it is"
    assert masked[-1] == "that"
    assert not [line for line in masked if "MII" in line or "BEGIN" in line]
    assert leaks("\n".join(masked[1:-1]), PEM, 16) == []


def test_lines_of_the_journal_are_folded_behind_their_stamps() -> None:
    """Each has time, unit and process before it; base64 that was folded at 76 columns goes on behind them."""
    folded = base64.encodebytes(b"a" * 40 + PEM.encode()).decode().split()
    stamp = "2026-11-23T00:01:02+0000 app-production[4711]: "
    lines = [stamp + line for line in folded]
    masked = mask(lines, {"KEY": PEM})
    assert [line[: len(stamp)] for line in masked] == [stamp] * len(lines)
    assert leaks("".join(line[len(stamp) :] for line in masked), PEM, 16) == []


def test_last_words_are_masked_before_they_are_chosen() -> None:
    """The last twenty lines may begin in the middle of what fills thirty, and the first of all in that of a line."""
    folded = base64.encodebytes(b"a" * 40 + PEM.encode()).decode().split()
    words = last_words(["starting", *["x"] * 100, *folded], {"KEY": PEM})
    assert len(words) == min(20, len(folded) + 101)
    assert leaks("".join(words), PEM, 16) == []
    cut = last_words([SECRET[5:] + " is what it was", "second"], {"NAME": SECRET})
    assert cut == [f"{MASK} is what it was", "second"]
    assert last_words([], {"NAME": SECRET}) == []


def test_what_is_no_secret_stays() -> None:
    """Short values would take half the words of every message with them."""
    lines = ["port 80 of the host is in use", ""]
    assert mask(lines, {"PORT": "80", "EMPTY": "", "OTHER": "something else"}) == lines
    assert last_words(lines, {"OTHER": "something else"}) == lines
