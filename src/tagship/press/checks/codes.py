"""Every kind of finding: its name, how bad it is, and one sentence about it; docs/checks.md is held against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Code:
    """One kind of finding; `about` says what is wrong wherever it is found."""

    severity: Severity
    about: str


CODES: Mapping[str, Code] = {
    "content": Code("error", "a post, page or asset can't be read: front matter, YAML, encoding, a missing asset"),
    "template": Code("error", "a template has bad syntax, or asks for what isn't there"),
    "undefined-reference": Code("error", "a reference link or footnote has no definition"),
    "markdown": Code("warning", "Markdown that is taken otherwise than it was meant"),
    "not-published": Code("warning", "a file in the folder of posts or pages that nobody will see"),
    "duplicate-url": Code("error", "two texts have one address"),
    "duplicate-title": Code("warning", "two pages have one title"),
    "duplicate-id": Code("error", "an id stands twice on a page: a link leads to the first"),
    "broken-link": Code("error", "nothing of the site answers this address"),
    "broken-anchor": Code("error", "the page is there, and no element of it has this id"),
    "broken-asset": Code("error", "an image, script, stylesheet or download isn't there"),
    "indirect-link": Code("warning", "the address is answered with a redirect: name the page itself"),
    "malformed-link": Code("error", "what stands there is no address"),
    "external-link": Code("error", "another site says that there is nothing at this address"),
    "external-unknown": Code("warning", "another site could not be asked"),
    "external-moved": Code("warning", "another site says that the page has moved for good"),
    "html": Code("error", "HTML that the standard forbids"),
    "html-advice": Code("warning", "HTML that the standard advises against"),
    "unclosed-element": Code("error", "an element is opened and never closed"),
    "stray-end-tag": Code("error", "an end tag closes nothing"),
    "misplaced-element": Code("error", "an element stands where the standard doesn't allow it"),
    "image-alt": Code("error", "an image without `alt`: who can't see it is told its file's name"),
    "link-name": Code("error", "a link or button without any words"),
    "label": Code("error", "a form's field without a label"),
    "heading-order": Code("warning", "a heading skips a level, or the first one isn't an h1"),
    "heading-empty": Code("error", "a heading without words"),
    "page-title": Code("error", "a page without a title"),
    "page-language": Code("error", "a page that doesn't say its language"),
    "frame-title": Code("error", "a frame without a title"),
    "contrast": Code("error", "text and background of a stylesheet's rule are too alike (WCAG 2.2, 1.4.3)"),
    "feed": Code("error", "a feed that readers refuse or misunderstand (RFC 4287)"),
    "url-gone": Code("error", "an address that was released resolves no more, and isn't redirected"),
    "url-unrecorded": Code("warning", "an address that the ledger doesn't hold yet"),
    "unused-ignore": Code("warning", "an entry of `site.check.ignore` that nothing matches"),
}
