"""Which wheels a lock becomes on a host, fetched one by one by their hashes and checked.

pip is never asked what a host needs: it evaluates markers with the Python it runs in and drops packages in silence.
Markers are evaluated here, against the environment that the host itself reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from tagship.errors import BundleRefused
from tagship.events import Event, Listener, ignore
from tagship.release import disk, lockfile, pip
from tagship.release.hostpython import HostPython
from tagship.release.lockfile import Lock, Pin
from tagship.release.wheelcache import FileName, Wheel, WheelCache, default_folder, hash_file

__all__ = ["HostPython", "Wheel", "default_folder", "installer_wheel", "refuse_unfit", "select_and_fetch"]


def select_and_fetch(
    lock: Lock, host: HostPython, cache: Path, *, extra_dir: Path | None = None, progress: Listener = ignore
) -> tuple[Wheel, ...]:
    """The wheels of `lock` for `host`, sorted by name, from the tag's own folder, the cache, or the index.

    `cache` is tagship's cache folder; `extra_dir` holds wheels of what exists only as source. Raises `BundleRefused`
    naming the package and the host's Python where there is no wheel, the hashes differ, or no index answers.
    """
    shelf = WheelCache(cache)
    pins = _wanted(lock, host)
    own = _own_wheels(pins, host, shelf, extra_dir)
    found: dict[str, Wheel] = {}
    missing = []
    for pin in pins:
        wheel = own.get(pin.name) or shelf.recall(pin, host)
        if wheel is None:
            missing.append(pin)
        else:
            found[pin.name] = wheel
    _tell(progress, len(found), len(pins))
    if missing:
        for wheel in _fetch(missing, host, shelf, where=lock.path, folder=extra_dir.name if extra_dir else "wheels"):
            found[wheel.name] = wheel
            _tell(progress, len(found), len(pins))
    return tuple(found[name] for name in sorted(found))


def installer_wheel(host: HostPython, cache: Path, *, progress: Listener = ignore) -> Wheel:
    """What builds virtualenvs on `host`: uv's wheel, or pip's where uv has none for it.

    Both are pinned in `installer.lock`. Raises `BundleRefused` where neither can be had.
    """
    text = resources.files("tagship.release").joinpath("installer.lock").read_text("utf-8")
    pins = {pin.name: pin for pin in lockfile.parse(text, "installer.lock").pins}
    shelf = WheelCache(cache)
    for name in ("uv", "pip"):
        wheel = shelf.recall(pins[name], host)
        if wheel is not None:
            return wheel
    _tell(progress, 0, 1)
    try:
        wheels = _fetch([pins["uv"]], host, shelf, where="installer.lock", folder="wheels")
    except NoWheel:
        wheels = _fetch([pins["pip"]], host, shelf, where="installer.lock", folder="wheels")
    _tell(progress, 1, 1)
    return wheels[0]


def refuse_unfit(wheel: Wheel, host: HostPython) -> None:
    """Raise `BundleRefused` unless `host` takes `wheel`."""
    if FileName.of(wheel.filename).rank(host) is None:
        raise NoWheel(
            f"{wheel.filename} does not run on {host.label}",
            where="app.package",
            cure="build it for that kind of host, put it into the `wheels/` folder and pin it by its hash",
        )


class NoWheel(BundleRefused):
    """There is no wheel of a package for a kind of host."""


def _tell(progress: Listener, done: int, total: int) -> None:
    progress(Event("progress", data={"step": "wheels", "done": done, "total": total, "unit": "wheels"}))


def _wanted(lock: Lock, host: HostPython) -> list[Pin]:
    environment = host.markers
    chosen: dict[str, Pin] = {}
    for pin in lock.pins:
        if not pin.wanted(environment):
            continue
        other = chosen.setdefault(pin.name, pin)
        if other is not pin:
            raise BundleRefused(
                f"{other} (line {other.line}) and {pin} are both wanted on {host.label}",
                where=f"{lock.path}:{pin.line}",
                cure="their markers must exclude one another; compile the lock again",
            )
    return list(chosen.values())


def _own_wheels(pins: Iterable[Pin], host: HostPython, shelf: WheelCache, folder: Path | None) -> dict[str, Wheel]:
    """The best wheel for `host` of each pin that the tag's own folder has, by name."""
    if folder is None or not folder.is_dir():
        return {}
    named = {pin.name: pin for pin in pins}
    ranked: list[tuple[int, str, Path, Pin]] = []
    for path in sorted(folder.glob("*.whl")):
        said = FileName.of(path.name)
        pin, rank = named.get(said.name), said.rank(host)
        if pin is not None and rank is not None and said.fits(pin):
            ranked.append((rank, path.name, path, pin))
    found: dict[str, Wheel] = {}
    for _rank, filename, path, pin in sorted(ranked, key=lambda row: row[:2]):
        if pin.name in found:
            continue
        digest, _size = hash_file(path)
        if digest not in pin.hashes:
            raise BundleRefused(
                f"its hash is not in the lock, which pins {pin} on line {pin.line}",
                where=f"{folder.name}/{filename}",
                cure=f"if you trust the file, add it there: --hash=sha256:{digest}",
            )
        found[pin.name] = shelf.take(path, digest)
    return found


def _fetch(pins: Sequence[Pin], host: HostPython, shelf: WheelCache, *, where: str, folder: str) -> list[Wheel]:
    """Fetch all of `pins` in one run of pip; where that fails, one by one, to say which one it was.

    `where` is how messages call their lock, `folder` the one for wheels that are built by hand.
    """
    with disk.scratch(".fetch-", shelf.root) as place, disk.refusals(place):
        fetched = pip.download(pins, host, place)
        if fetched.ok:
            return _accept(pins, host, shelf, place / "wheels")
    if fetched.offline:
        raise BundleRefused(
            f"the package index can't be reached for {_names(pins)}",
            where=where,
            cure="check the network, or `pip config list` on this machine; what was fetched once is kept",
            paths=fetched.said,
        )
    if len(pins) > 1:
        return [wheel for pin in pins for wheel in _fetch([pin], host, shelf, where=where, folder=folder)]
    raise _no_wheel(pins[0], host, fetched, f"{where}:{pins[0].line}", folder)


def _accept(pins: Sequence[Pin], host: HostPython, shelf: WheelCache, folder: Path) -> list[Wheel]:
    """Check what pip gave back: for each pin exactly one wheel, with a hash of the lock and a tag of the host."""
    files = [(path, FileName.of(path.name)) for path in sorted(folder.iterdir())]
    accepted = []
    for pin in pins:
        paths = [(path, said) for path, said in files if said.fits(pin)]
        if len(paths) != 1:
            raise BundleRefused(f"pip gave {len(paths)} files for {pin}, not one", cure="run it again")
        path, said = paths[0]
        digest, _size = hash_file(path)
        if digest not in pin.hashes or said.rank(host) is None:
            raise BundleRefused(
                f"pip gave a wheel of {pin} that is not in the lock, or not for {host.label}", where=path.name
            )
        wheel = shelf.take(path, digest)
        shelf.remember(pin, host, wheel)
        accepted.append(wheel)
    return accepted


def _names(pins: Sequence[Pin]) -> str:
    shown = ", ".join(map(str, pins[:3]))
    return shown if len(pins) <= 3 else f"{shown} and {len(pins) - 3} more"


def _no_wheel(pin: Pin, host: HostPython, fetched: pip.Fetched, where: str, folder: str) -> BundleRefused:
    if fetched.mismatch:
        return BundleRefused(
            f"the index has other files for {pin} than the lock",
            where=where,
            cure="compile the lock again if you know why; otherwise someone changed a published file",
            paths=fetched.said,
        )
    build = (
        f"build it on such a machine: python3 -m pip wheel --no-deps --no-binary {pin.name} {pin} -w {folder}/ ; "
        f"then python3 -m pip hash {folder}/*.whl, add that --hash to the lock, commit both, and make a new tag"
    )
    if fetched.only_source and not fetched.needs_python:
        return NoWheel(
            f"{pin} exists only as source; hosts build nothing", where=where, cure=build, paths=fetched.said
        )
    why = f": it needs Python {fetched.needs_python}" if fetched.needs_python else ""
    cure = "pin a version that runs on it, or a newer Python" if why else f"pin a version that has one, or {build}"
    return NoWheel(
        f"{pin} has no wheel in the lock for {host.label}{why}",
        where=where,
        cure=cure,
        paths=fetched.said,
    )


def take_built(folder: Path, cache: Path) -> Wheel:
    """Cache the one wheel that a build left in `folder`; raises `BundleRefused` if there is none or several."""
    made = sorted(folder.glob("*.whl"))
    if len(made) != 1:
        raise BundleRefused(f"the build made {len(made)} wheels, not one", where="app.package")
    FileName.of(made[0].name)
    return WheelCache(cache).take(made[0], hash_file(made[0])[0])
