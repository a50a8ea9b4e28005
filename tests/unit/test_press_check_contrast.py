"""Contrast as stylesheets make it: variables, night, the element's own background and those around it."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.check_project import POST, check

from tagship.press.checks import colours, stylesheets

PAGE = (
    '<!doctype html><html lang="en"><head><title>{{ title or site.title }}</title>'
    '<link rel="stylesheet" href="{{ asset("own.css") }}"></head>'
    '<body><h1>{{ title }}</h1><p class="note">Some <b>words</b></p></body></html>\n'
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build's clock is an input: 20 November 2026."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795176000")


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000", "white", 21.0),
        ("#767676", "#fff", 4.54),
        ("rgb(119, 119, 119)", "#ffffff", 4.48),
        ("hsl(0 100% 50%)", "black", 5.25),
        ("#00000080", "#fff", 4.0),
    ],
)
def test_contrast_is_that_of_the_standard(one: str, other: str, ratio: float) -> None:
    """By figures that other tools tell of the same colours; what is transparent is mixed first."""
    above, below = colours.read(one), colours.read(other)
    assert above is not None
    assert below is not None
    assert round(colours.contrast(above.over(below), below), 2) == ratio


def test_what_is_no_colour_is_not_judged() -> None:
    """`oklch()` may come; a wrong guess would be worse than none."""
    assert [colours.read(text) for text in ("oklch(0.5 0.1 20)", "#12", "inherit", "rgb(a, b, c)", "rgb()")] == [
        None
    ] * 5


def test_a_stylesheet_is_laid_flat_for_each_scheme() -> None:
    """Variables of that scheme, no print, no narrow screens, no keyframes; nested variables and fallbacks."""
    css = """
    @import "x.css";
    :root { --ink: #111; --text: var(--ink); } /* a { color: red } */
    @media screen and (prefers-color-scheme: dark) { :root { --ink: #eee } }
    @media print { p { color: blue } } @media (max-width: 20rem) { p { color: lime } }
    @keyframes x { from { color: red } }
    @supports (color: red) { p { color: var(--text); background: var(--none, #fff) url(x) } }
    """
    light, dark = (" ".join(stylesheets.flat(css, scheme).split()) for scheme in ("light", "dark"))
    assert "p { color: #111; background-color: #fff url(x) }" in light
    assert "p { color: #eee;" in dark
    assert not {word for word in ("blue", "lime", "red", "@") if word in light + dark}
    assert stylesheets.has_dark(css)


@pytest.mark.parametrize(
    ("css", "said"),
    [
        (
            "p { color: #999 }",
            ["#999999 on #ffffff (light) has a contrast of 2.8, and 4.5 is needed: html > body > p.note"],
        ),
        (".note { color: #999; background: #111 }", []),
        (
            "body { background: #333; color: #fff } h1 { color: #777 }",
            ["#777777 on #333333 (light) has a contrast of 2.8"],
        ),
        ("h1 { color: #888; font-size: 2rem }", []),
        (
            "@media (prefers-color-scheme: dark) { body { background: #000; color: #eee } } b { color: #444 }",
            ["#444444 on #000000 (dark) has a contrast of 2.2"],
        ),
        ("p { color: #999; background-image: url(/feed.xml) }", []),
    ],
)
def test_text_that_is_too_like_its_background(tmp_path: Path, css: str, said: list[str]) -> None:
    """Each kind of text once, large text more leniently, what only a browser can tell not at all."""
    files = {
        "posts/2026-11-01-hello.md": POST + "Text.\n",
        "posts/2026-11-02-next.md": POST.replace("Hello", "Next") + "Text.\n",
        "site/templates/post.html": PAGE,
        "site/assets/own.css": css,
    }
    found = [problem["message"] for problem in check(tmp_path, files) if problem["code"] == "contrast"]
    assert len(found) == len(said)
    assert all(message.startswith(start) for message, start in zip(found, said, strict=True)), found
