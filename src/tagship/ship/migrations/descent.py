"""What a rollback has to reverse, with whose code, and whether it may. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tagship.errors import Refused
from tagship.ship.migrations.schema import Look, Loss, Pair, name_of

KEEP, DROP = "--keep-schema", "--yes-drop-data"
_KEEP_CURE = f"{KEEP} goes back with the code alone: then it must get on with the schema as it is"


@dataclass(frozen=True)
class Wish:
    """What was asked for: at most one of the two."""

    keep: bool = False
    """The schema stays as it is."""
    drop: bool = False
    """Rows may go with the tables and columns that hold them."""


NO_WISH = Wish()


@dataclass(frozen=True)
class Descent:
    """The steps that a rollback reverses."""

    source: str
    """The release whose code reverses them: its heads are what is applied."""
    steps: tuple[Pair, ...]
    """In the order in which they are reversed, the newest first."""
    loss: tuple[Loss, ...] = ()
    """What that drops, with the rows of now."""
    drop: bool = False
    """Rows may go."""


NONE = Descent("", ())


def known_heads(target: str, heads: Mapping[str, tuple[str, ...] | None]) -> None:
    """Raise `Refused` where the heads of `target`, by database, aren't known: nobody can say what is above them."""
    unknown = [name for name, found in heads.items() if found is None]
    if heads and not unknown:
        return
    what = f"the heads of {', '.join(unknown)} in {target} aren't known" if unknown else f"{target} has no schema"
    raise Refused(f"{what}, so what is above them isn't either", where=target, cure=_KEEP_CURE)


def descent(source: Look, target: Look, *, drop: bool) -> Descent:
    """What is applied and `target`'s code doesn't have.

    `source` is of the release whose heads are the applied state. Raises `Refused` where a step can't be reversed, and
    where `target` would have to go up.
    """
    lacking = missing(source, target)
    if lacking:
        what = f"{target.release} needs steps that aren't applied"
        cure = "fab deploy --tag, with its tag, applies them first"
        raise Refused(what, where=target.release, cure=cure, tail=[name_of(pair) for pair in lacking])
    steps = above(source, target)
    reasons = []
    for name, id in steps:
        database = source.database(name)
        step = database.migration(id) if database is not None else None
        if step is not None and not step.reversible:
            reasons.append(f"{name_of((name, id))}: {step.why or 'it has no way back'}")
    if reasons:
        count = "a step is" if len(reasons) == 1 else f"{len(reasons)} steps are"
        what = f"{count} irreversible on the way down to {target.release}"
        raise Refused(what, where=source.release, cure=_KEEP_CURE, tail=reasons)
    return Descent(source.release, steps, drop=drop)


def above(source: Look, target: Look) -> tuple[Pair, ...]:
    """Applied steps of `source`'s code that `target`'s doesn't have: the last database first, in each the newest.

    Raises `Refused` where `target` lacks a database as a whole.
    """
    found: list[Pair] = []
    for database in reversed(source.databases):
        theirs = target.database(database.name)
        if theirs is None:
            raise Refused(f"{target.release} doesn't have the database", where=database.name, cure=_KEEP_CURE)
        applied = {step.id for step in database.applied} - {step.id for step in theirs.migrations}
        found += [(database.name, step.id) for step in reversed(database.migrations) if step.id in applied]
    return tuple(found)


def missing(source: Look, target: Look) -> tuple[Pair, ...]:
    """Steps of `target`'s code that aren't applied, as `source` saw the databases."""
    found: list[Pair] = []
    for database in target.databases:
        seen = source.database(database.name)
        applied = {step.id for step in seen.applied} if seen is not None else set()
        found += [(database.name, step.id) for step in database.migrations if step.id not in applied]
    return tuple(found)


def losing(planned: Descent, loss: Collection[Loss]) -> Descent:
    """`planned` with what it drops. Raises `Refused` where rows would go and nobody said that they may."""
    rows = [one for one in loss if one.rows != 0]
    if rows and not planned.drop:
        where = ", ".join(dict.fromkeys(f"{one.database}/{one.step}" for one in rows))
        cure = f"{DROP} drops it; {_KEEP_CURE}"
        raise Refused("reversing would drop data", where=where, cure=cure, tail=[one.words for one in rows])
    return replace(planned, loss=tuple(loss))


def no_source(target: str, unknown: Collection[Pair]) -> Refused:
    """Nothing on the host can reverse what is applied."""
    rows = [name_of(pair) for pair in unknown]
    what = "steps are applied that no release on the host can reverse"
    return Refused(what, where=target, cure=_KEEP_CURE, tail=rows)
