"""Writes N posts of about 3 KB, the same on every machine: `python bench/posts.py N FOLDER`.

Each has a front matter with title, date and three tags, headings, a nested list, reference links, a quote, a Python
block and a shell block: what the press's speed is measured on.
"""

from __future__ import annotations

import random
import sys
from datetime import date, timedelta
from pathlib import Path

FIRST_DAY = date(2015, 1, 1)
TAGS = [f"topic {number:02d}" for number in range(1, 31)]
WORDS = """
anchor ballast beam berth bridge buoy cabin cable captain cargo chart compass course crew current deck depth
draught drift engine fathom fleet fog gale galley harbour hatch helm hull island journal keel knot ladder lamp
latitude ledger light load lock log mast mile mooring needle night oar pilot port quay radar rail release
rigging river rope rudder sail sand sea shore signal slip sound stage star stern storm survey tag tide tiller
tonnage tow trade vessel voyage watch water wave weather wharf wheel wind yard
""".split()  # noqa: SIM905 - a list a person can read


def write_posts(count: int, folder: Path) -> None:
    """Write `count` posts into `folder`, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        day = FIRST_DAY + timedelta(days=number % 4000)
        folder.joinpath(f"{day}-post-{number:05d}.md").write_text(post(number, day), encoding="utf-8")


def post(number: int, day: date) -> str:
    """The text of post `number`, about 3,000 characters."""
    dice = random.Random(number)

    def sentence(length: int) -> str:
        words = [dice.choice(WORDS) for _ in range(length)]
        words[length // 3] = f"*{words[length // 3]}*"
        words[length // 2] += ","
        return " ".join(words).capitalize() + "."

    def paragraph(sentences: int) -> str:
        return " ".join(sentence(dice.randint(7, 12)) for _ in range(sentences))

    tags = ", ".join(dice.sample(TAGS, 3))
    name = f"{dice.choice(WORDS)}_{number}"
    return f"""---
title: "{dice.choice(WORDS).capitalize()} and {dice.choice(WORDS)}: number {number}"
date: {day}
tags: [{tags}]
---
{paragraph(4)} It's "measured" -- see [the {dice.choice(WORDS)}][one] and [{dice.choice(WORDS)}][two]...

## The {dice.choice(WORDS)} and the {dice.choice(WORDS)}

{paragraph(4)} Call `{name}()` when **ready**, or read [the manual](https://example.org/{number}/manual).

- {sentence(8)}
- {sentence(9)}
  - {sentence(7)}
  - {sentence(6)} See [one].
    - {sentence(5)}
- {sentence(8)}

> {paragraph(2)}
> {sentence(9)}

### In Python

{paragraph(2)}

```python
from dataclasses import dataclass


@dataclass(frozen=True)
class Voyage{number}:
    \"\"\"{sentence(6)}\"\"\"

    name: str = "{dice.choice(WORDS)}"
    miles: float = {dice.randint(1, 9000)}.5

    def {name}(self, knots: int) -> float:
        # {sentence(5)}
        if knots <= 0:
            raise ValueError(f"no way on: {{knots}}")
        return self.miles / knots
```

## On the {dice.choice(WORDS)}

{paragraph(3)}

```sh
set -eu
for host in web{number % 7} web{number % 5}; do
    ssh "$host" "ls -l /srv/{dice.choice(WORDS)}/current | awk '{{print $NF}}'"
done
echo "done: {number}"
```

1. {sentence(8)}
2. {sentence(7)}

{paragraph(6)}

{paragraph(3)}

[one]: https://example.org/{dice.choice(WORDS)}/{number} "The {dice.choice(WORDS)}"
[two]: https://example.net/{dice.choice(WORDS)}?n={number}
"""


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[1].isdigit():
        sys.exit("usage: python bench/posts.py N FOLDER")
    write_posts(int(sys.argv[1]), Path(sys.argv[2]))
