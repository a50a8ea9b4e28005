"""A Python that wheels are chosen for, as a value: its marker environment and the tags it takes, best first.

Both come from what the host's survey said (or from `targets:`), never from the Python we run in. `packaging` makes
the tags; the platforms are generated here, for `packaging` can only ask the machine it runs on. Sources: PEP 425,
PEP 508, PEP 600 (manylinux), PEP 656 (musllinux), PEP 703 (free-threaded).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from packaging import tags as pep425
from packaging.tags import Tag

from tagship.config import Target
from tagship.errors import BundleRefused

MARKERS = (
    "implementation_name",
    "implementation_version",
    "os_name",
    "platform_machine",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_full_version",
    "platform_python_implementation",
    "python_version",
    "sys_platform",
)
"""The whole environment of PEP 508: with one name missing, `packaging` would fill in our own."""

_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC = {"x86_64": 5, "i686": 5}
_NARROW = {"x86_64": "i686", "aarch64": "armv7l", "armv8l": "armv7l"}
_PLATFORM = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)\Z")
_MACOS = re.compile(r"macosx_(\d+)_(\d+)_(\w+)\Z")
_LEGACY = {"manylinux2014": "2_17", "manylinux2010": "2_12", "manylinux1": "2_5"}


@dataclass(frozen=True)
class HostPython:
    """One kind of Python on one kind of machine."""

    environment: tuple[tuple[str, str], ...]
    """The PEP 508 environment as sorted pairs."""
    tags: tuple[Tag, ...]
    """What it takes, the best first."""
    label: str
    """For messages: `CPython 3.11 on linux x86_64 (glibc 2.36)`."""
    platforms: tuple[str, ...]
    abis: tuple[str, ...]
    executable: str = ""
    """The interpreter on the host, where a survey named it."""

    @property
    def markers(self) -> dict[str, str]:
        return dict(self.environment)

    @property
    def version(self) -> tuple[int, int]:
        major, minor = self.markers["python_version"].split(".")[:2]
        return int(major), int(minor)

    @property
    def implementation(self) -> str:
        """pip's word: `cp` or `pp`."""
        return "pp" if self.markers["implementation_name"] == "pypy" else "cp"

    @cached_property
    def ranks(self) -> Mapping[Tag, int]:
        """Each tag's place among those it takes, 0 the best."""
        return {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}

    @cached_property
    def key(self) -> str:
        """SHA-256 in hex of its tags: hosts with one key get the same wheels for the same pin."""
        return hashlib.sha256("\n".join(map(str, self.tags)).encode()).hexdigest()

    @staticmethod
    def from_facts(facts: Mapping[str, Any]) -> HostPython:
        """What the agent's survey says of one interpreter.

        `facts` has `markers` (all of `MARKERS`), `libc` (`["glibc", "2.36"]`, `["musl", "1.2"]` or None),
        `abi_flags`, `soabi`, `bits`, `free_threaded` and `executable`. Raises `BundleRefused` if they make no sense.
        """
        try:
            markers = {name: str(facts["markers"][name]) for name in MARKERS}
            libc = facts.get("libc")
            family, release = (str(libc[0]), str(libc[1])) if libc else ("", "")
            flags = str(facts.get("abi_flags") or "")
            if facts.get("free_threaded") and "t" not in flags:
                flags += "t"
            machine = _machine(markers["platform_machine"], int(facts.get("bits", 64)))
            platforms = tuple(_platforms(markers, machine, family, release))
            return _assemble(
                markers,
                platforms,
                flags=flags,
                soabi=str(facts.get("soabi") or ""),
                machine=f"{machine} ({family} {release})" if family else machine,
                executable=str(facts.get("executable") or ""),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BundleRefused(
                f"what the host says of its Python makes no sense ({type(error).__name__}: {error})",
                cure="name it under `targets:` in tagship.yml",
            ) from None

    @staticmethod
    def from_target(target: Target) -> HostPython:
        """A kind of host that tagship.yml names; a CPython. Raises `BundleRefused` for what is no such thing."""
        match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(t?)\Z", target.python)
        legacy, _, rest = target.platform.partition("_")
        name = f"manylinux_{_LEGACY[legacy]}_{rest}" if legacy in _LEGACY else target.platform
        linux, macos = _PLATFORM.match(name), _MACOS.match(name)
        if match is None or not (linux or macos):
            raise BundleRefused(
                f"python {target.python} on {target.platform} is not a kind of host",
                where="targets",
                cure="python: '3.11' and platform: manylinux_2_36_x86_64 (or musllinux_1_2_..., macosx_14_0_arm64)",
            )
        version = f"{match[1]}.{match[2]}"
        markers = _target_markers(version, f"{version}.{match[3] or 0}", "linux" if linux else "darwin")
        if linux:
            family = "glibc" if linux[1] == "manylinux" else "musl"
            markers["platform_machine"] = linux[4]
            platforms = tuple(_platforms(markers, linux[4], family, f"{linux[2]}.{linux[3]}"))
            machine = f"{linux[4]} ({family} {linux[2]}.{linux[3]})"
        else:
            assert macos is not None
            markers["platform_machine"] = machine = macos[3]
            platforms = tuple(pep425.mac_platforms((int(macos[1]), int(macos[2])), macos[3]))
        return _assemble(markers, platforms, flags=match[4], soabi="", machine=machine, executable="")

    @staticmethod
    def here() -> HostPython:
        """The Python we run in: what build tools are chosen for."""
        from packaging.markers import default_environment  # 10 ms, and no host needs it

        markers = {name: str(value) for name, value in default_environment().items() if name in MARKERS}
        tags = tuple(pep425.sys_tags())
        platforms = tuple(dict.fromkeys(tag.platform for tag in tags if tag.platform != "any"))
        abis = tuple(dict.fromkeys(tag.abi for tag in tags if tag.abi not in {"none", "abi3"}))
        label = f"{_name(markers)} on {markers['sys_platform']} {markers['platform_machine']} (this machine)"
        return HostPython(tuple(sorted(markers.items())), tags, label, platforms, abis[:2])


def _assemble(
    markers: Mapping[str, str], platforms: tuple[str, ...], *, flags: str, soabi: str, machine: str, executable: str
) -> HostPython:
    major, minor = (int(part) for part in markers["python_version"].split(".")[:2])
    if (major, minor) < (3, 9):
        raise BundleRefused(
            f"Python {major}.{minor} is too old", where=executable, cure="install Python 3.9 or newer on the host"
        )
    if markers["implementation_name"] == "pypy":
        abis: tuple[str, ...] = ("_".join(soabi.split("-")[:2]),)
        tags = [*pep425.generic_tags(f"pp{major}{minor}", abis, platforms)]
        tags += pep425.compatible_tags((major, minor), "pp3", platforms)
    else:
        plain = f"cp{major}{minor}{'t' if 't' in flags else ''}"
        abis = (f"{plain}d", plain) if "d" in flags else (plain,)
        tags = [*pep425.cpython_tags((major, minor), abis, platforms)]
        tags += pep425.compatible_tags((major, minor), f"cp{major}{minor}", platforms)
    label = f"{_name(markers)}{' free-threaded' if 't' in flags else ''} on {markers['sys_platform']} {machine}"
    unique = tuple(dict.fromkeys(tags))
    return HostPython(tuple(sorted(markers.items())), unique, label, platforms, abis, executable)


def _name(markers: Mapping[str, str]) -> str:
    return f"{markers['platform_python_implementation']} {markers['python_version']}"


def _machine(machine: str, bits: int) -> str:
    """The architecture wheels are named for: a 32-bit Python on a 64-bit kernel takes 32-bit wheels."""
    if not re.match(r"\w+\Z", machine):
        raise ValueError(f"machine {machine!r}")
    return _NARROW.get(machine, machine) if bits == 32 or machine == "armv8l" else machine


def _platforms(markers: Mapping[str, str], machine: str, libc: str, release: str) -> Iterator[str]:
    if markers["sys_platform"] == "darwin":
        yield from pep425.mac_platforms(_macos(markers["platform_release"]), machine)
        return
    if markers["sys_platform"] != "linux":
        raise ValueError(f"platform {markers['sys_platform']!r}")
    yield f"linux_{machine}"
    if libc:
        numbers = re.match(r"(\d+)\.(\d+)", release)
        if numbers is None:
            raise ValueError(f"{libc} {release!r}")
        major, minor = int(numbers[1]), int(numbers[2])
        if libc == "glibc" and major == 2:
            yield from _manylinux(minor, machine)
        elif libc == "musl":
            yield from (f"musllinux_{major}_{older}_{machine}" for older in range(minor, -1, -1))


def _manylinux(minor: int, machine: str) -> Iterator[str]:
    for older in range(minor, _OLDEST_GLIBC.get(machine, 17) - 1, -1):
        yield f"manylinux_2_{older}_{machine}"
        if older in _OLD_NAMES:
            yield f"{_OLD_NAMES[older]}_{machine}"


def _macos(darwin: str) -> tuple[int, int]:
    """macOS from its kernel's version: 10.x up to 19, 11 to 15 up to 24, and 26 with 25."""
    kernel = int(darwin.partition(".")[0])
    if kernel < 20:
        return 10, kernel - 4
    return (kernel - 9 if kernel < 25 else kernel + 1), 0


def _target_markers(version: str, full: str, system: str) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": "",
        "platform_release": "",
        "platform_system": "Linux" if system == "linux" else "Darwin",
        "platform_version": "",
        "python_full_version": full,
        "platform_python_implementation": "CPython",
        "python_version": version,
        "sys_platform": system,
    }
