"""The verb `declare`: a release is announced; everything about it that can be refused is refused here."""

from __future__ import annotations

import os
import re
from typing import Any, Optional

from tagship.host import known, probe, rows, stored
from tagship.host.context import Args, Context
from tagship.host.faults import refused, usage
from tagship.host.layout import LONGEST_SOCKET, Layout, serial_of
from tagship.host.objects import Objects

UNIT = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_RECORD = ("id", "tag", "commit", "digest", "lock", "app", "stage", "by", "at")


def declare(context: Context, args: Args) -> dict[str, Any]:
    """Check it all, journal `staging`, make the release's folder; answers which objects are missing.

    `tampered` names those of the missing that are here with the wrong content: they count for nothing and are
    replaced.
    """
    declared = read_declaration(context, args)
    layout, record = context.layout, declared.record
    installer = _wanted_installer(layout, declared.installer)
    objects = open_objects(context)
    context.note(
        "staging",
        declared.release,
        serial=record["serial"],
        tag=record["tag"],
        commit=record["commit"],
        digest=record["digest"],
        lock=record["lock"],
        manifest=declared.manifest,
        roles=record["roles"],
        runs=(["web"] if declared.settings["start"] else []) + sorted(declared.settings["units"]),
    )
    context.declared.add(declared.release)
    os.mkdir(layout.release(declared.release), 0o755)
    stored.write(layout, declared)
    wanted = {**declared.objects(), **installer}
    missing, tampered = objects.missing(wanted)
    context.opened["missing"] = {key: wanted[key] for key in missing}
    return {"missing": [[key, wanted[key]] for key in missing], "tampered": tampered}


def read_declaration(context: Context, args: Args) -> stored.Declared:
    """The declaration as a value; raises `refused` or `usage`, and changes nothing."""
    record = _record(args.inner("release"), context)
    release = record["id"]
    layout = context.layout
    base = args.optional_release("base")
    put, drop = rows.check(args.items("put")), args.texts("drop")
    manifest = rows.merge(stored.read(layout, base).rows if base else [], put, drop)
    if rows.digest(manifest) != args.text("manifest"):
        raise refused(
            "what was sent for {} doesn't come to its manifest".format(release), "survey again, then deploy again"
        )
    rows.check_together(manifest)
    _check_shared(record["settings"]["shared"], manifest)
    wheels = [_wheel(item) for item in args.items("wheels")]
    if len({name for name, _, _ in wheels}) != len(wheels):
        raise usage("a wheel comes twice")
    raw = args.raw().get("installer")
    installer = None if raw is None else _wheel(raw)
    if wheels and installer is None:
        raise usage("wheels need an installer")
    _check_free(context, release, record["serial"])
    return stored.Declared(release, record, args.text("manifest"), manifest, wheels, installer)


def open_objects(context: Context) -> Objects:
    """The stage's object store, opened once a session so that what was hashed needn't be hashed again."""
    found: Optional[Objects] = context.opened.get("objects")
    if found is None or found.path != context.layout.objects:
        found = context.opened["objects"] = Objects(context.layout.objects, context.check)
    return found


def _check_free(context: Context, release: str, serial: int) -> None:
    layout = context.layout
    highest = known.highest(known.standings(layout, context.journal))
    if serial <= highest:
        raise refused(
            "the serial {} was given before; the highest is {}".format(serial, highest),
            "somebody else deployed meanwhile: survey again, then deploy again",
        )
    if os.path.lexists(layout.release(release)):
        raise refused("{} is there already, and not ours".format(layout.release(release)), "move it away")
    path = os.fsencode(layout.socket(release))
    if len(path) > LONGEST_SOCKET:
        raise refused(
            "the socket's path is longer than {} bytes: {}".format(LONGEST_SOCKET, os.fsdecode(path)),
            "give this stage a shorter `root`",
        )


def _record(record: Args, context: Context) -> dict[str, Any]:
    for name in _RECORD:
        record.text(name)
    record.texts("roles")
    release = record.release("id")
    if record.number("serial", 1) != serial_of(release):
        raise usage("the id {} and its serial differ".format(release))
    if (record.text("app"), record.text("stage")) != (context.app, context.stage):
        raise usage("the release is of another app or stage")
    settings = record.inner("settings")
    settings.texts("start")
    units = settings.inner("units")
    for name in units.raw():
        if not UNIT.match(name) or not units.texts(name):
            raise usage("`settings.units` must map names to commands")
    for path in settings.texts("generated"):
        fault = rows.path_fault(path)
        if fault:
            raise refused("the generated path `{}`: {}".format(path, fault), "mend `app.generated` in tagship.yml")
    settings.text("python")
    probe.read(settings.inner("probe"))
    env = settings.optional("env")
    shared = settings.inner("shared")
    shared.texts("served")
    for path in shared.texts("dirs") + shared.texts("links") + ([env] if env else []):
        fault = rows.path_fault(path)
        if fault:
            raise refused("the shared path `{}`: {}".format(path, fault), "mend `app.shared` in tagship.yml")
    return record.raw()


def _check_shared(shared: dict[str, list[str]], manifest: list[rows.Row]) -> None:
    """What is shared takes the place of nothing in the tag, lies in none of its links, and not in one another."""
    paths = shared["dirs"] + shared["links"]
    files_and_links = {row[0] for row in manifest}
    taken = files_and_links.union(*(_above(path) for path in files_and_links))
    cure = "take it out of the tag, or out of `app.shared` in tagship.yml"
    for path in paths:
        place = "app/" + path
        if place in taken:
            raise refused("`{}` is in the tag and shared too".format(path), cure)
        for above in _above(place):
            if above in files_and_links:
                raise refused("`{}` is shared, and lies below `{}`, which is no folder".format(path, above), cure)
            if above[len("app/") :] in paths:
                raise refused("`{}` is shared twice: by itself and by a folder above".format(path), cure)
    if len(set(paths)) != len(paths):
        raise refused("a path is shared twice", cure)


def _above(path: str) -> list[str]:
    found = []
    while "/" in path:
        path = path.rpartition("/")[0]
        found.append(path)
    return found


def _wheel(item: Any) -> list[Any]:
    whole = isinstance(item, list) and len(item) == 3 and isinstance(item[0], str) and isinstance(item[1], str)
    if not whole or isinstance(item[2], bool) or not isinstance(item[2], int) or item[2] < 0:
        raise usage("a wheel is [filename, sha256, size]")
    name = item[0]
    if rows.path_fault(name) or "/" in name or name.startswith("-") or not name.endswith(".whl"):
        raise refused("`{}` is no wheel's file name".format(name), "mend the lock")
    if not rows.SHA256.match(item[1]):
        raise usage("a wheel's sha256 is 64 hex digits")
    return list(item)


def _wanted_installer(layout: Layout, installer: Optional[list[Any]]) -> dict[str, int]:
    """The installer's wheel as a wanted object, unless it is unpacked here already."""
    if installer is None or stored.installer(layout) == installer[1]:
        return {}
    return {installer[1]: installer[2]}
