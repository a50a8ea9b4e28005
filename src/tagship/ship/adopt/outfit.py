"""All that changes on a host that is adopted, in the parts in which it is made and put back: pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tagship.ship.adopt.findings import Found, Wishes
from tagship.ship.adopt.resources import Beside, Calm, Current, Gone, Out, Reload, Share
from tagship.ship.setup.rendering import HOMES
from tagship.ship.setup.resources import Act, File, Folder, Link, Resource
from tagship.ship.setup.settings import Settings
from tagship.ship.setup.wanted import SITES, site, wanted

KEPT = "adopted"
"""What a folder that was called `current` is called from now on, in the same place."""
_RELOAD = ("systemctl", "reload", "nginx.service")


@dataclass(frozen=True)
class Parts:
    """One host's adoption: each part is made, or put back, by itself."""

    prepare: tuple[Resource, ...]
    """The outfit of `fab setup`, but for nginx's site, and the data linked in: what serves notices nothing."""
    beside: tuple[Resource, ...]
    """In the new release's folder."""
    switch: tuple[Resource, ...]
    """`current`, and what undoing needs to know, written down before."""
    site: tuple[Resource, ...]
    """nginx: our site in, the old one out."""

    @property
    def whole(self) -> tuple[Resource, ...]:
        """All of it, as the plan tells it."""
        return (*self.prepare, *self.beside, *self.switch, *self.site)


def parts_of(settings: Settings, found: Found, wishes: Wishes, release: str) -> Parts:
    """What is to be made on a host; `release` is the id that the old service gets."""
    nginx = tuple(site(settings)) if settings.web else ()
    seen = seen_at(settings, found)
    return Parts(
        prepare=tuple(_prepare(settings, found, wishes, nginx)),
        beside=(
            Beside(
                f"{settings.root}/releases/{release}",
                found.leads or None,
                seen,
                _public(settings, found, wishes),
            ),
        ),
        switch=(
            File(note_path(settings), _note(settings, found, wishes, release), "0644", '"release"'),
            Current(settings.root, "link", f"releases/{release}", KEPT),
            Calm(float(settings.stop_seconds)),
        ),
        site=(*(Out(old.path) for old in found.old_sites(wishes.site)), *map(_counting, nginx)) if nginx else (),
    )


def _counting(resource: Resource) -> Resource:
    """Of nginx's reload, one that knows which workers it ends."""
    return Reload(resource.cure) if isinstance(resource, Act) and resource.argv == _RELOAD else resource


def note_path(settings: Settings) -> str:
    """What is written down for `--undo`."""
    return settings.conf.removesuffix(".json") + ".adopted"


def _prepare(settings: Settings, found: Found, wishes: Wishes, nginx: tuple[Resource, ...]) -> list[Resource]:
    shared = {f"{settings.root}/shared/{name}": path for name, path in wishes.shares}
    writable = tuple(_settled(settings, found, path) for path in wishes.writable)
    made: list[Resource] = []
    for resource in wanted(settings):
        if resource in nginx or (isinstance(resource, Folder) and resource.path in shared):
            continue
        if isinstance(resource, Folder) and resource.ours:
            # What lies there is what is being adopted.
            resource = Folder(resource.path, resource.owner, resource.group, resource.mode, passed=True)  # noqa: PLW2901
        if isinstance(resource, Act) and shared and not any(isinstance(one, Act) for one in made):
            made += _dropin(settings, writable)
        made.append(resource)
        if isinstance(resource, Folder) and resource.path == f"{settings.root}/shared":
            for path, now in shared.items():
                made.append(Share(path, _settled(settings, found, now), now, settings.user))
    return made


def _dropin(settings: Settings, paths: tuple[str, ...]) -> tuple[Resource, ...]:
    """The unit sees the whole machine read-only but for shared/; linked data lies elsewhere."""
    homes = "ProtectHome=read-only\n" if any(f"{path}/".startswith(HOMES) for path in paths) else ""
    text = (
        f"# Where data of {settings.name} lives that its unit couldn't write to. Written by tagship (fab adopt).\n"
        f"[Service]\n{homes}" + "".join(f"ReadWritePaths=-{path}\n" for path in paths)
    )
    folder = f"/etc/systemd/system/{settings.name}@.service.d"
    return Folder(folder, "root", "root", "0755"), File(f"{folder}/adopted.conf", text, "0644", "fab adopt")


def _public(settings: Settings, found: Found, wishes: Wishes) -> str | None:
    """The old document root, by a path that will stay."""
    chosen = wishes.public or next(iter(found.public), None)
    return None if chosen is None else _settled(settings, found, chosen)


def seen_at(settings: Settings, found: Found) -> str | None:
    """Where what `current` is now will be, once that names a release."""
    return f"{settings.root}/{KEPT}" if found.current == "directory" else found.leads or None


def _settled(settings: Settings, found: Found, path: str) -> str:
    """`path`, which may lead through `current`, as it will be."""
    current, seen = f"{settings.root}/current", seen_at(settings, found)
    if seen is None or not f"{path}/".startswith(f"{current}/"):
        return path
    return seen + path.removeprefix(current)


def _note(settings: Settings, found: Found, wishes: Wishes, release: str) -> str:
    old = [*found.old_sites(wishes.site)]
    if not settings.nginx.names and settings.web:
        old += [one for one in found.sites if one.path == f"{SITES[1]}/default" and one.target and one not in old]
    values = {
        "release": release,
        "current": {"to": found.current, "target": found.link or None, "kept": KEPT},
        "sites": [{"path": one.path, "target": one.target} for one in old],
        "unit": found.upstream.unit if found.upstream else "",
    }
    return json.dumps(values, indent=1) + "\n"


@dataclass(frozen=True)
class Return:
    """The way back of one host, in two parts."""

    site: tuple[Resource, ...]
    switch: tuple[Resource, ...]

    @property
    def whole(self) -> tuple[Resource, ...]:
        return (*self.site, *self.switch)


def return_of(settings: Settings, note: Mapping[str, Any]) -> Return:
    """What gives a host back; `note` was written down when it was taken over."""
    mend = "mend what its last lines say; nothing of it counts yet"
    was = note["current"]
    return Return(
        site=(
            Out(f"{SITES[1]}/{settings.name}.conf"),
            *(Link(one["path"], one["target"]) for one in note["sites"]),
            Act(("nginx", "-t", "-q"), mend),
            Reload(mend),
        )
        if settings.web
        else (),
        switch=(
            Calm(float(settings.stop_seconds)),
            Current(settings.root, was["to"], was["target"], was["kept"]),
            Gone(note_path(settings)),
        ),
    )
