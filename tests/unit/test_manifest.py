"""A manifest is a value: sorted, without contradictions, with one digest."""

from __future__ import annotations

import hashlib

import pytest

from tagship.manifest import Delta, File, Link, Manifest, url_changes

ONE, TWO = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()


def of(*entries: File | Link) -> Manifest:
    return Manifest.of(entries)


def test_order_does_not_matter() -> None:
    """The same entries in any order are the same manifest with the same digest."""
    a, b, c = File("app/a", ONE, 1), Link("app/b", "a"), File("app/ä", TWO, 1, executable=True)
    assert of(a, b, c) == of(c, b, a)
    assert of(a, b, c).digest == of(b, c, a).digest


@pytest.mark.parametrize(
    "other",
    [
        File("app/b", ONE, 1),
        File("app/a", TWO, 1),
        File("app/a", ONE, 2),
        File("app/a", ONE, 1, executable=True),
        Link("app/a", ONE),
    ],
)
def test_every_field_is_in_the_digest(other: File | Link) -> None:
    """Another path, content, size, mode or kind is another release."""
    assert of(other).digest != of(File("app/a", ONE, 1)).digest


def test_the_digest_never_changes() -> None:
    """The canonical form is SHA-256 of compact ASCII JSON: hosts hold manifests made by earlier versions."""
    text = f'[["app/\\u00e4","x","{TWO}",1],["app/l","l","\\u00e4"]]'
    entries = (File("app/ä", TWO, 1, executable=True), Link("app/l", "ä"))
    assert sorted(of(*entries).rows()) == [["app/l", "l", "ä"], ["app/ä", "x", TWO, 1]]
    ordered = f'[["app/l","l","\\u00e4"],["app/\\u00e4","x","{TWO}",1]]'
    assert text != ordered
    assert of(*entries).digest == hashlib.sha256(ordered.encode()).hexdigest()


def test_rows_and_back() -> None:
    """What travels as rows arrives as the same value."""
    manifest = of(File("app/a", ONE, 1), File("app/x", TWO, 5, executable=True), Link("app/l", "a"))
    assert Manifest.from_rows(manifest.rows()) == manifest


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ((File("a", ONE, 1), Link("a", "b")), "a is there twice"),
        ((File("a", ONE, 1), File("a/b", ONE, 1)), "a is both a file and a folder"),
        ((Link("a", "x"), File("a-b", ONE, 1), File("a/b/c", ONE, 1)), "a is both a file and a folder"),
    ],
)
def test_contradictions_are_refused(entries: tuple[File | Link, ...], what: str) -> None:
    """A path stands once, and what is a file isn't a folder too."""
    with pytest.raises(ValueError, match=what):
        Manifest.of(entries)


def test_objects_are_named_by_content_and_executable_bit() -> None:
    """Hard links share the mode, so two files with one content and two modes need two objects."""
    assert File("a", ONE, 1).key == ONE
    assert File("a", ONE, 1, executable=True).key == f"{ONE}x"


def test_a_delta_holds_only_the_difference() -> None:
    """What stayed isn't sent; what changed its mode or kind is."""
    old = of(File("a", ONE, 1), File("b", ONE, 1), File("c", ONE, 1), File("d", ONE, 1))
    new = of(File("a", ONE, 1), File("b", TWO, 1), File("c", ONE, 1, executable=True), File("e", ONE, 1))
    delta = Delta.between(old, new)
    assert [entry.path for entry in delta.put] == ["b", "c", "e"]
    assert delta.drop == ("d",)


def test_url_changes_are_those_of_the_site() -> None:
    """Only `public/` has URLs; an index is its folder's."""
    old = of(File("app/x", ONE, 1), File("public/index.html", ONE, 1), File("public/gone/index.html", ONE, 1))
    new = of(File("app/y", ONE, 1), File("public/index.html", TWO, 1), File("public/feed.xml", ONE, 1))
    changes = url_changes(old, new)
    assert (changes.added, changes.changed, changes.gone) == (("/feed.xml",), ("/",), ("/gone/",))
    assert url_changes(None, new).added == ("/", "/feed.xml")
