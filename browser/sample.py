"""A site that shows everything the default theme has rules for."""

from __future__ import annotations

from pathlib import Path

YML = """\
app: {name: sample}
site:
  title: Notes from the harbour
  description: What a small fleet teaches about sails, ropes and the people who mend both.
  url: https://harbour.example
  author: {name: Ada Lovelace}
  paginate: 3
"""

_FULL = '''\
---
title: Everything that a text can hold, with quite a long title
date: 2026-11-16
tags: [sails, "ropes & knots", weather]
summary: A text with every kind of block, so that the theme can be looked at as a whole.
---
The *first* paragraph has **strong** words, `code`, a [link](/about/), a note[^1] and "quotes"; it goes on for some
lines so that the measure can be judged -- and it does...

## A list in a list

- one
- two
    1. first
    2. second
        - deep, with `code`
- three

## Code

```python
def haul(rope: Rope, *, metres: float = 12.5) -> Knot:
    """Haul in `rope`; raises `Slack` when nothing pulls."""
    if not rope.taut:  # a comment
        raise Slack(f"{rope.name} is slack after {metres:0.1f} m and a line that is far too long for any telephone")
    return Knot(rope, turns=3, locked=True)
```

```sh
$ inv build && fab deploy --stage production  # the whole job
```

```diff
-old line
+new line
```

## A table

| Sail | Area | Notes |
|------|-----:|-------|
| Main | 24.5 | reefed at five |
| Genoa | 31.0 | never in a `gale`, whatever the almanac promises for the afternoon |

## Quoted

> A quote, with a [link](https://example.org/) in it.
>
> > And one inside.

Term
:   Its meaning, which may be long.

Other term
:   Another meaning.

![Three boats in a row](/boats.svg)

### Smaller

Averyveryverylongwordwithoutanyhyphenthatcannotbebrokenanywhereunlessthebrowserisallowedto https://example.org/an/address/that/is/long/too

---

#### Smallest

The end.

[^1]: The note, with a [link](/archive/).
'''

_BOATS = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 160"><rect width="600" height="160" fill="#9cc4d4"/>'
    '<g fill="#7a4a1c"><path d="M60 110h120l-20 30H80z"/><path d="M240 110h120l-20 30H260z"/>'
    '<path d="M420 110h120l-20 30H440z"/></g></svg>'
)


def write(folder: Path) -> None:
    """Write the sample's sources into `folder`."""
    files = {
        "tagship.yml": YML,
        "posts/2026-11-16-everything.md": _FULL,
        "site/pages/about.md": "---\ntitle: About\n---\nA page, with a [link](/tags/).\n\n## A heading\n\nWords.\n",
        "site/static/boats.svg": _BOATS,
    }
    for number in range(1, 9):
        tags = ["weather", "sails", "ropes & knots"][: number % 3 + 1]
        head = f'title: "Day {number} at sea"\ntags: {tags!r}\n'
        files[f"posts/2025-0{number}-03-day-{number}.md"] = (
            f"---\n{head}---\nThe wind came from the west, force {number}. We reefed early, and were glad of it.\n"
        )
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
