"""The verb `verify`: a release against everything that was ever recorded of it."""

from __future__ import annotations

import os
from typing import Any

from tagship.host import contents, files, health, presence, stored, survey, units
from tagship.host.context import Args, Context
from tagship.host.layout import Layout

_TOLD = 20  # differences that are told, of however many there are


def verify(context: Context, args: Args) -> dict[str, Any]:
    """Compare files, links, virtualenv, start script, `current` and the running process; answers every difference."""
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    sealed = files.read_object(layout.release(release, stored.SEALED))
    folder = layout.release(release)
    drift = _tree(folder, declared.rows, sealed.get("made", []))
    context.lifeline.check()
    venv = contents.virtualenv(os.path.join(folder, "venv"), sealed.get("bytecode", {}))
    drift += [["venv/" + path, what] for path, what in venv]
    drift += _furniture(layout, declared, sealed)
    drift += _public(layout, declared)
    return {"drift": drift}


def drift(context: Context, args: Args) -> dict[str, Any]:
    """The verb `drift`: what can be seen of `verify` without reading files, in some microseconds each.

    The names in `app/` and `public/`, kinds, links, modes, sizes, times of the tag's files, which follow from their
    digests, and the scripts. Whoever changes content at equal size and sets the time back is found by `verify` only,
    and so is what happens in the virtualenv.
    """
    release = args.release()
    layout = context.layout
    declared = stored.read(layout, release)
    sealed = files.read_object(layout.release(release, stored.SEALED))
    folder = layout.release(release)
    of_tag, of_host = {row[0]: row for row in declared.rows}, {row[0]: row for row in sealed.get("made", [])}
    found = []
    for path, status in contents.tree(folder):
        tagged = of_tag.pop(path, None)
        row = tagged or of_host.pop(path, None)
        what = contents.glance(folder, row, status, is_object=tagged is not None) if row else "not in the release"
        if what:
            found.append([path, what])
    found += [[path, "missing"] for path in sorted({**of_tag, **of_host})] + _scripts(layout, release, sealed)
    return {"drift": found[:_TOLD], "count": len(found)}


def _tree(folder: str, tagged: list[Any], made: list[Any]) -> list[list[str]]:
    of_tag, of_host = {row[0]: row for row in tagged}, {row[0]: row for row in made}
    drift = []
    for path, status in contents.tree(folder):
        if path in of_tag:
            what = contents.fault_of_object(folder, of_tag.pop(path), status)
        elif path in of_host:
            what = contents.fault(folder, of_host.pop(path), status)
        else:
            what = "not in the release"
        if what:
            drift.append([path, what])
    return drift + [[path, "missing"] for path in sorted({**of_tag, **of_host})]


def _furniture(layout: Layout, declared: stored.Declared, sealed: dict[str, Any]) -> list[list[str]]:
    release = declared.release
    drift = []
    if not sealed:
        drift.append([stored.SEALED, "missing"])
    drift += _scripts(layout, release, sealed)
    if files.read_object(layout.release(release, stored.RECORD)) != declared.record:
        drift.append([stored.RECORD, "changed"])
    run = layout.release(release, "run")
    if not os.path.islink(run) or os.readlink(run) != layout.run(release):
        drift.append(["run", "doesn't point to {}".format(layout.run(release))])
    for path in declared.settings["shared"]["links"]:
        if not os.path.exists(os.path.join(layout.shared, path)):
            drift.append(["shared/" + path, "missing"])
    return drift


def _scripts(layout: Layout, release: str, sealed: dict[str, Any]) -> list[list[str]]:
    scripts = sealed.get("scripts", {})
    changed = [name for name in scripts if contents.hash_file(layout.release(release, name)) != scripts[name]]
    return [[name, "changed"] for name in changed]


def _public(layout: Layout, declared: stored.Declared) -> list[list[str]]:
    release = declared.release
    kind, current = survey.read_current(layout)
    if current != release:
        return [["current", "names {}".format(current) if current else "is {}".format(kind)]]
    serving = presence.serving(layout, current)
    if units.WEB in declared.parts and serving != release:
        return [["run/web.sock", "answered by {}".format(serving or "nobody")]]
    _, fault = health.judge(layout, current, declared, serving, presence.parts(layout), None)
    return [["run/web.sock" if units.WEB in declared.parts else "run", fault]] if fault else []
