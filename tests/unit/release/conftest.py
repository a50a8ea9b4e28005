"""Real git repositories, hand-made wheels and a pip that never leaves the machine."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest
from unit.release.release_case import CONFIG, MakeWheel, Repo


@pytest.fixture(autouse=True)
def _quiet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither git nor pip sees the settings of whoever runs the tests; pip has no index at all."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("GIT_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def project(repo: Repo) -> Repo:
    """A repository that can be packed: a configuration, an empty lock, a file, and the tag v1.0.0."""
    repo.commit({"tagship.yml": CONFIG, "requirements.lock": "", "demo.py": "app = None\n"})
    repo.tag("v1.0.0")
    return repo


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Makes an installable wheel in `folder` and returns its path and SHA-256."""

    def make(
        name: str, version: str = "1.0", tags: str = "py3-none-any", *, folder: Path | None = None, script: str = ""
    ) -> tuple[Path, str]:
        folder = folder or tmp_path / "index"
        folder.mkdir(parents=True, exist_ok=True)
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f"def main():\n    {script or 'pass'}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": _wheel_text(tags),
            f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        }
        record = "".join(f"{path},sha256={_b64(text)},{len(text)}\n" for path, text in files.items())
        files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
        path = folder / f"{name}-{version}-{tags}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for inner, text in files.items():
                archive.writestr(zipfile.ZipInfo(inner, (2020, 1, 1, 0, 0, 0)), text)
        return path, hashlib.sha256(path.read_bytes()).hexdigest()

    return make


def _wheel_text(tags: str) -> str:
    python, abi, platforms = tags.split("-")
    lines = [f"Tag: {python}-{abi}-{platform}" for platform in platforms.split(".")]
    return "\n".join(["Wheel-Version: 1.0", "Generator: tests", "Root-Is-Purelib: true", *lines, ""])


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def facts() -> dict[str, object]:
    """What the agent says of Debian's Python 3.11 on an Intel machine."""
    return {
        "markers": {
            "implementation_name": "cpython",
            "implementation_version": "3.11.2",
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_release": "6.1.0-18-amd64",
            "platform_system": "Linux",
            "platform_version": "#1 SMP Debian",
            "python_full_version": "3.11.2",
            "platform_python_implementation": "CPython",
            "python_version": "3.11",
            "sys_platform": "linux",
        },
        "libc": ["glibc", "2.36"],
        "abi_flags": "",
        "soabi": "cpython-311-x86_64-linux-gnu",
        "bits": 64,
        "free_threaded": False,
        "executable": "/usr/bin/python3",
    }
