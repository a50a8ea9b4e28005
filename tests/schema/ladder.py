"""Ten up and nine down by the commands that a user types, with somebody who asks and votes at each rung."""

from __future__ import annotations

from collections.abc import Mapping

from schema.pairs import Found
from schema.site import Site
from schema.story import NEWEST, NO_WAY_BACK, Expected


def climb(made: Site, wanted: Mapping[str, Mapping[str, str]] | None, *, top: int = NEWEST) -> Found:
    """`fab deploy --tag v1` up to `top`, and `fab rollback` to v1; `wanted` are fresh installs, if known."""
    found, expected = Found(), Expected(1)
    for level in range(1, top + 1):
        made.fab("deploy", "--tag", f"v{level}")
        _hold(made, expected, level, wanted, found)
    for level in range(top - 1, 0, -1):
        made.fab("rollback", "--yes-drop-data")
        _hold(made, expected, level, wanted, found)
    return found


def refuse(made: Site) -> list[str]:
    """From v11 there is no way back: exit 3, nothing changed. Gives what doesn't hold."""
    wrong = []
    made.fab("deploy", "--tag", f"v{NO_WAY_BACK}")
    before = made.visitor.state()
    ended = made.fab("rollback", "--yes-drop-data", expect=3)
    if "audit.0006_forget_subjects" not in ended.said:
        wrong.append("the step without a way back isn't named")
    if (made.current(), made.visitor.state(), made.visitor.health()) != (f"v{NO_WAY_BACK}", before, 200):
        wrong.append("a refused rollback changed something")
    return wrong


def _hold(
    made: Site, expected: Expected, level: int, wanted: Mapping[str, Mapping[str, str]] | None, found: Found
) -> None:
    """What must be seen at a rung; then one more question."""
    tag = f"v{level}"
    expected.move(level)
    found.pairs += 1
    if made.current() != tag:
        found.wrong.append(f"{tag}: {made.current()} is live")
    if wanted is not None:
        schemas = made.schemas()
        found.wrong += [
            f"{tag}: {name} isn't that of a fresh install" for name in schemas if schemas[name] != wanted[tag][name]
        ]
    if (status := made.visitor.health()) != 200:
        found.wrong.append(f"{tag}: /health is {status}")
    state = made.visitor.state()
    if {key: state[key] for key in ("questions", "entries")} != expected.shown:
        found.wrong.append(f"{tag}: rows differ: {state} instead of {expected.shown}")
    text = f"{len(expected.questions)} at {tag}"
    made.visitor.ask(text, "ada", {"yes": 2, "no": 1})
    expected.ask(text, "ada", {"yes": 2, "no": 1})
    found.rows = 3 * len(expected.questions) + len(expected.entries)
