"""What an interpreter is, as wheels see it: markers (PEP 508), libc, ABI. Runs alone in other interpreters too."""

from __future__ import annotations

import os
import sys
from typing import Any


def _version() -> str:
    info = sys.implementation.version
    text = "{}.{}.{}".format(info.major, info.minor, info.micro)
    return text if info.releaselevel == "final" else text + info.releaselevel[0] + str(info.serial)


def _full_version() -> str:
    info = sys.version_info
    text = "{}.{}.{}".format(*info[:3])
    return (
        text
        if info.releaselevel == "final"
        else text + {"alpha": "a", "beta": "b"}.get(info.releaselevel, "rc") + str(info.serial)
    )


def markers() -> dict[str, str]:
    """The environment of PEP 508 markers."""
    system = os.uname()
    names = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": _version(),
        "os_name": os.name,
        "platform_machine": system.machine,
        "platform_python_implementation": names.get(sys.implementation.name, sys.implementation.name),
        "platform_release": system.release,
        "platform_system": system.sysname,
        "platform_version": system.version,
        "python_full_version": _full_version(),
        "python_version": "{}.{}".format(*sys.version_info[:2]),
        "sys_platform": sys.platform,
    }


def libc() -> list[str]:
    """`["glibc", "2.36"]`, `["musl", "1.2"]`, or `["", ""]`."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name == "glibc":
            return [name, version]
    except (ValueError, OSError, AttributeError):
        pass
    return _musl()


def _musl() -> list[str]:
    import glob  # only where there is no glibc
    import subprocess

    for loader in glob.glob("/lib/ld-musl-*.so.1"):
        said = subprocess.run([loader], stderr=subprocess.PIPE, check=False).stderr.decode(errors="replace")
        for line in said.splitlines():
            if line.startswith("Version "):
                return ["musl", ".".join(line.split()[1].split(".")[:2])]
    return ["", ""]


def facts() -> dict[str, Any]:
    """The `python` part of a survey, for the interpreter that runs this."""
    import importlib.machinery
    import struct

    soabi = importlib.machinery.EXTENSION_SUFFIXES[0].strip(".").rpartition(".so")[0].strip(".")
    return {
        "executable": sys.executable,
        "markers": markers(),
        "libc": libc(),
        "soabi": soabi,
        "abi_flags": getattr(sys, "abiflags", ""),
        "bits": struct.calcsize("P") * 8,
        "free_threaded": "t" in getattr(sys, "abiflags", ""),
    }
