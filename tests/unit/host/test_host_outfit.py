"""How root goes to a folder that it is to make, where another user may change the way at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tagship.host.faults import Problem
from tagship.host.outfit_folders import descend


def inode(folder: int) -> int:
    try:
        return os.fstat(folder).st_ino
    finally:
        os.close(folder)


def test_missing_folders_are_made_on_the_way(tmp_path: Path) -> None:
    """Whatever the umask: others must be able to pass through them."""
    made = tmp_path / "a/b"
    before = os.umask(0o077)
    try:
        assert inode(descend(str(made))) == made.stat().st_ino
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in (made, made.parent)] == ["0o755"] * 2


def test_a_link_of_roots_is_followed() -> None:
    """An admin may have moved /srv to another disk."""
    links = [path for path in map(Path, ("/bin", "/lib", "/var/run")) if path.is_symlink() and path.is_dir()]
    for link in links:
        assert inode(descend(str(link))) == link.stat().st_ino
    assert links, "a Debian has one of them"


def test_a_link_of_anybody_else_is_not(tmp_path: Path) -> None:
    """Else who deploys could have root make, and give away, a folder anywhere."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there")
    if os.geteuid() == 0:
        os.lchown(link, 1, 1)
    with pytest.raises(Problem, match="`link`, on the way, is a link that isn't root's"):
        descend(str(link / "inner"))
    assert list((tmp_path / "there").iterdir()) == []
