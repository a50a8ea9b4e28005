"""The object store: what goes in comes out, or is noticed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tagship.errors import BundleRefused
from tagship.release import disk, store
from tagship.release.store import ObjectStore


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore.of(tmp_path)


def damage(path: Path, data: bytes) -> None:
    """Change an object as a careless tool would: other bytes, then a time of now."""
    path.chmod(0o644)
    path.write_bytes(data)


def test_key_is_the_hash_and_the_executable_bit(objects: ObjectStore, tmp_path: Path) -> None:
    """A script and a text with one content are two objects, for hosts hard-link them with their modes."""
    digest = hashlib.sha256(b"hello").hexdigest()
    plain, script = objects.put(b"hello"), objects.put(b"hello", executable=True)
    assert (plain.key, script.key, plain.size) == (digest, f"{digest}x", 5)
    assert objects.path(digest) == tmp_path / ".tagship" / "objects" / digest[:2] / digest
    assert [oct(objects.path(key).stat().st_mode & 0o777) for key in (digest, f"{digest}x")] == ["0o444", "0o555"]
    assert objects.read(digest) == objects.read(f"{digest}x") == b"hello"


@pytest.mark.parametrize("size", [0, 1, store.SMALL, store.SMALL + 1])
def test_files_of_any_size_go_in_by_path(objects: ObjectStore, tmp_path: Path, size: int) -> None:
    """Large files aren't held in memory; their objects are the same."""
    source = tmp_path / "file"
    source.write_bytes(b"x" * size)
    for _again in range(2):
        stored = objects.put(source)
        assert stored.sha256 == hashlib.sha256(b"x" * size).hexdigest()
        assert stored.size == size
        assert objects.has(stored.key, size)
    with objects.open(stored.key) as file:
        assert file.read() == b"x" * size


@pytest.mark.parametrize("size", [5, store.SMALL + 1])
def test_damaged_object_is_never_handed_out(objects: ObjectStore, size: int) -> None:
    """Its hash is taken before the first byte leaves; it is dropped, so that packing again mends it."""
    key = objects.put(b"x" * size).key
    path = objects.path(key)
    kept = path.stat()
    damage(path, b"y" * size)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert objects.has(key, size)
    with pytest.raises(BundleRefused, match="damaged"):
        objects.open(key)
    assert not objects.has(key)
    with pytest.raises(BundleRefused, match="missing"):
        objects.open(key)


@pytest.mark.parametrize("size", [5, store.SMALL + 1])
def test_put_mends_a_damaged_object(objects: ObjectStore, tmp_path: Path, size: int) -> None:
    """An object that is there already is compared, not believed."""
    source = tmp_path / "file"
    source.write_bytes(b"x" * size)
    key = objects.put(source).key
    for data in (b"y" * size, b""):
        damage(objects.path(key), data)
        assert not objects.has(key, size)
        objects.put(source)
        assert objects.read(key) == b"x" * size


def test_touched_object_counts_as_missing(objects: ObjectStore) -> None:
    """Its time is derived from its key, so an edit of equal size shows without reading."""
    stored = objects.put(b"hello")
    damage(objects.path(stored.key), b"HELLO")
    assert [file.path for file in objects.missing([stored.at("app/a")])] == ["app/a"]


def test_failed_write_leaves_nothing(objects: ObjectStore, tmp_path: Path) -> None:
    """Whatever interrupts a write, Ctrl-C too, no half file stays."""
    target = tmp_path / "folder" / "file"
    with pytest.raises(KeyboardInterrupt), disk.fresh(target) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_full_disk_is_one_clear_refusal(tmp_path: Path) -> None:
    """ENOSPC, here the kernel's own, names the place and exits 3."""
    with pytest.raises(BundleRefused, match="no room left") as caught, disk.refusals(tmp_path):
        Path("/dev/full").write_bytes(b"x")
    assert caught.value.exit_code == 3
    assert caught.value.where == str(tmp_path)


def test_two_processes_fill_one_store(tmp_path: Path) -> None:
    """Both write the same objects at once; every object is whole, and no unfinished file is left."""
    code = "import sys; from pathlib import Path; from tagship.release.store import ObjectStore\n"
    code += "s = ObjectStore(Path(sys.argv[1]))\n"
    code += "for n in range(200): s.put(str(n).encode() * 500)"
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(found) == 200
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in found)


def test_prune_keeps_what_is_named_and_what_is_new(objects: ObjectStore) -> None:
    """A second packer's fresh objects aren't named by any saved bundle yet."""
    kept, dropped = objects.put(b"kept").key, objects.put(b"dropped").key
    made = objects.path(dropped).stat().st_ctime
    assert objects.prune([kept], before=made - 1) == 0
    assert objects.prune([kept], before=made + 1) == 1
    assert (objects.has(kept), objects.has(dropped)) == (True, False)
    (objects.root / "ab").mkdir(exist_ok=True)
    (objects.root / "ab" / f"{disk.PART}x").write_bytes(b"half")
    assert objects.prune([kept], before=made + 3600) == 1


def test_scratch_folder_goes_whatever_is_in_it(tmp_path: Path) -> None:
    """Build tools leave read-only folders behind."""
    with disk.scratch("x-", tmp_path / "place") as folder:
        (folder / "deep/er").mkdir(parents=True)
        (folder / "deep/er/file").write_text("x")
        (folder / "deep/er").chmod(0o500)
        (folder / "deep").chmod(0o500)
    assert list((tmp_path / "place").iterdir()) == []


def test_folders_of_killed_processes_are_swept_after_a_day(tmp_path: Path) -> None:
    """A SIGKILL leaves its scratch folder; a later run removes it, and not one that is in use."""
    place = tmp_path / "place"
    for name, age in (("x-old", 90_000), ("x-new", 10), ("y-old", 90_000)):
        (place / name / "tree").mkdir(parents=True)
        when = time.time() - age
        os.utime(place / name, (when, when))
    with disk.scratch("x-", place):
        pass
    assert {path.name for path in place.iterdir()} == {"x-new", "y-old"}
