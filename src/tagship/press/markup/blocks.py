"""Lists, quotes and fences as people write them, for a Markdown engine that wants four spaces.

Python-Markdown nests only what is indented by four, takes a fence only at the left margin, and a list only after
an empty line. People (and every other engine) indent by the width of the marker. So the text is walked as
CommonMark (https://spec.commonmark.org/0.31.2/#container-blocks) describes it, containers inside containers, and
written again in the four-space dialect; fences are taken out on the way and leave a placeholder. Indented code
keeps its spaces. Deeper than `MAX_DEPTH` containers nothing is rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

MAX_DEPTH = 30

Fence = Callable[[str, str], str]
"""Takes a fence's info string and its code, returns the placeholder that stands for it."""

_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*\Z)|~{3,})[ ]*(.*)\Z")
_ITEM = re.compile(r"( {0,3})([*+-]|\d{1,9}\.)( +)(?=\S)(.*)\Z")
_FOOTNOTE = re.compile(r"( {0,3})(\[\^[^\]\s]+\]:)( *)(.*)\Z")
_ADMONITION = re.compile(r'!!! ?[\w-]+(?: +[\w-]+)*(?: +".*?")? *\Z')
_QUOTE = re.compile(r" {0,3}> ?(.*)\Z")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *\Z")
_SIGNS = frozenset("`~*+-_>#[<!0123456789")
"""What a line begins with, if it begins something; or else with a digit of another script."""
_HEADING = re.compile(r"#{1,6}[^#]")
_VERBATIM = re.compile(r" {0,3}<(?:(pre|script|style|textarea)\b|(!--))", re.I)


def rewrite(lines: Sequence[str], fence: Fence) -> list[str]:
    """The same document in the four-space dialect; `lines` hold no tabs and no line ends."""
    return _Walk(lines, fence).run()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _may_open(line: str) -> bool:
    first = line.lstrip(" ")[:1]
    return first in _SIGNS or not first.isascii()


def _opens_block(line: str) -> bool:
    """Whether `line` begins something of its own, so that it can't continue the paragraph before it."""
    if not _may_open(line):
        return False
    kinds = (_ITEM, _QUOTE, _RULE, _HEADING, _FENCE, _FOOTNOTE)
    return any(kind.match(line) for kind in kinds)


class _Walk:
    """One pass over the lines of one container."""

    def __init__(self, lines: Sequence[str], fence: Fence, depth: int = 0, in_item: bool = False) -> None:
        self.lines = lines
        self.fence = fence
        self.depth = depth
        self.in_item = in_item
        self.out: list[str] = []
        self.after = ""
        """What the line above was: `text`, `ul`, `ol`, `block`, or nothing (an empty line, code)."""
        self.tight = True
        """Whether the item above holds no empty line; after a loose one Python-Markdown wants one."""

    def run(self) -> list[str]:
        if self.depth > MAX_DEPTH:
            return list(self.lines)
        at = 0
        while at < len(self.lines):
            at = self.step(at, self.lines[at])
        return self.out

    def step(self, at: int, line: str) -> int:
        """Write what begins at line `at`; returns the first line after it."""
        if not line.strip():
            self.out.append("")
            self.after = ""
            return at + 1
        if line.startswith("    "):
            self.out.append(line)
            return at + 1
        if not _may_open(line):
            return self.plain(at, line)
        return self.block(at, line) or self.plain(at, line)

    def block(self, at: int, line: str) -> int:
        """The same for a line that begins something; 0 when it doesn't."""
        if opening := _FENCE.match(line):
            return self.take_fence(at, opening)
        if opening := _VERBATIM.match(line):
            return self.take_verbatim(at, opening)
        if _QUOTE.match(line):
            return self.take_quote(at)
        if _ADMONITION.match(line):
            return self.take_admonition(at, line)
        if not _RULE.match(line) and (item := _ITEM.match(line)) and self.may_begin_list(item):
            return self.take_item(at, item)
        return self.take_footnote(at, note) if (note := _FOOTNOTE.match(line)) else 0

    def plain(self, at: int, line: str) -> int:
        if self.after not in {"", "text"}:
            self.out.append("")
        self.out.append(line)
        self.after = "block" if _HEADING.match(line) else "text"
        return at + 1

    def may_begin_list(self, item: re.Match[str]) -> bool:
        """Inside a paragraph only a bullet or `1.` begins a list, or a year at a line's start would."""
        return self.after != "text" or not item[2][0].isdigit() or item[2] == "1."

    def take_fence(self, at: int, opening: re.Match[str]) -> int:
        mark = opening[1]
        closing = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}} *\Z")
        strip = _indent(self.lines[at])
        code: list[str] = []
        end = at + 1
        while end < len(self.lines) and not closing.match(self.lines[end]):
            line = self.lines[end]
            code.append(line[min(strip, _indent(line)) :])
            end += 1
        self.out += ["", self.fence(opening[2].strip(), "\n".join(code)), ""]
        self.after = ""
        return end + 1

    def take_verbatim(self, at: int, opening: re.Match[str]) -> int:
        closing = "-->" if opening[2] else f"</{opening[1].lower()}"
        end = at
        while end < len(self.lines) and closing not in self.lines[end].lower():
            end += 1
        self.out += self.lines[at : end + 1]
        self.after = "text"
        return end + 1

    def take_quote(self, at: int) -> int:
        inner: list[str] = []
        gate = _Lazy()
        end = at
        while end < len(self.lines):
            line = self.lines[end]
            quoted = _QUOTE.match(line)
            if quoted:
                inner.append(quoted[1])
            elif gate.takes(line):
                inner.append(line.lstrip())
            else:
                break
            gate.saw(inner[-1])
            end += 1
        if self.after:
            self.out.append("")
        self.out += [f"> {line}" if line else ">" for line in self.inside(inner, in_item=False)]
        self.after = "block"
        return end

    def take_item(self, at: int, item: re.Match[str]) -> int:
        kind = "ol" if item[2][0].isdigit() else "ul"
        marker = len(item[1])
        width = item.end(3) if len(item[3]) <= 4 else item.end(2) + 1
        # Two spaces are enough to belong to `1.` or `10.`: that is how people write it, whatever the standard says.
        body, end = self.gather(at + 1, min(width, marker + 2), item[4])
        if self.after and not (self.tight if self.after == kind else self.begins_item()):
            self.out.append("")
        written = len(self.out)
        self.write(item[2], self.inside([item[4], *_dedent(body, marker, width)], in_item=True))
        self.after = kind
        self.tight = "" not in self.out[written:]
        return end

    def begins_item(self) -> bool:
        """Whether the lines above are the first paragraph of an item: there a list needs no empty line."""
        return self.in_item and self.after == "text" and "" not in self.out

    def take_footnote(self, at: int, note: re.Match[str]) -> int:
        body, end = self.gather(at + 1, 4, note[4])
        if self.after:
            self.out.append("")
        moved = [line[min(4, _indent(line)) :] for line in body]
        self.write(note[2], self.inside([note[4], *moved], in_item=False))
        self.after = "block"
        return end

    def take_admonition(self, at: int, line: str) -> int:
        end = at + 1
        while end < len(self.lines) and (not self.lines[end].strip() or self.lines[end].startswith("    ")):
            end += 1
        walked = self.inside([each[4:] for each in self.lines[at + 1 : end]], in_item=False)
        self.out += [*([""] if self.after else []), line, *(f"    {each}" if each else "" for each in walked), ""]
        self.after = ""
        return end

    def gather(self, at: int, width: int, first: str) -> tuple[list[str], int]:
        """The lines that belong to a container whose contents begin at column `width`, and where it ends."""
        gate = _Lazy()
        gate.saw(first)
        body: list[str] = []
        end = at
        for index in range(at, len(self.lines)):
            line = self.lines[index]
            if line.strip():
                if _indent(line) < width and not gate.takes(line):
                    break
                end = index + 1
            body.append(line)
            gate.saw(line.lstrip(" "))
        return body[: end - at], end

    def inside(self, lines: Sequence[str], *, in_item: bool) -> list[str]:
        """The contents of a container, walked, without empty lines around them."""
        walked = _Walk(lines, self.fence, self.depth + 1, in_item).run()
        while walked and not walked[-1]:
            walked.pop()
        while walked and not walked[0]:
            walked.pop(0)
        return walked

    def write(self, marker: str, walked: list[str]) -> None:
        self.out.append(f"{marker} {walked[0]}" if walked else marker)
        # A quote that begins an item goes on at the margin: Python-Markdown would read `    >` as its text.
        quoted = bool(walked) and walked[0].startswith(">")
        for line in walked[1:]:
            quoted = quoted and line.startswith(">")
            self.out.append(line if quoted or not line else f"    {line}")


class _Lazy:
    """Whether a line that lost its indentation still continues the paragraph above it."""

    def __init__(self) -> None:
        self.open = ""
        self.text = False

    def saw(self, line: str) -> None:
        """Take note of a line of the container, without its indentation."""
        fence = _FENCE.match(line)
        if self.open:
            if fence and fence[1].startswith(self.open) and not fence[2]:
                self.open = ""
            self.text = False
        elif fence:
            self.open = fence[1]
            self.text = False
        else:
            self.text = bool(line.strip()) and not _HEADING.match(line) and not _RULE.match(line)

    def takes(self, line: str) -> bool:
        """Whether `line` may be such a continuation."""
        return self.text and bool(line.strip()) and not _opens_block(line)


def _dedent(body: Sequence[str], marker: int, width: int) -> list[str]:
    """The lines of an item, moved left so that its paragraphs begin at column 0 and its code at 4.

    The contents may be aligned with the item's text (CommonMark: `width`), or by four as the original Markdown
    has it. Where all of them stand deeper than `width`, the shallowest line decides which it is.
    """
    depths = [_indent(line) for line in body if line.strip() and _indent(line) > marker]
    least = min(depths, default=width)
    by = least
    if least >= width + 4:
        by = marker + 4 if least >= marker + 8 else width
    return [line[min(by, _indent(line)) :] if line.strip() else "" for line in body]
