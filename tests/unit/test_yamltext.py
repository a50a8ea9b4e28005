"""YAML is read strictly, with positions, and a hostile text costs nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tagship import yamltext
from tagship.yamltext import Mark, YamlProblem


def test_values_are_plain() -> None:
    """Scalars become what YAML says they are, and nothing else."""
    text = "a: 1\nb: [yes, 1.5, null, 'x']\nc: {d: 2026-01-02}\n"
    assert yamltext.load(text).data == {"a": 1, "b": [True, 1.5, None, "x"], "c": {"d": dt.date(2026, 1, 2)}}


def test_every_key_has_its_position() -> None:
    """Line and column, from 1, of each key and list item; of the nearest ancestor for what isn't there."""
    document = yamltext.load("a:\n  b:\n    - x\n    - c: 1\n")
    assert document.mark(("a", "b")) == Mark(2, 3)
    assert document.mark(("a", "b", 1, "c")) == Mark(4, 7)
    assert document.mark(("a", "b", 1, "missing", 0)) == Mark(4, 7)
    assert document.mark(("nothing",)) == Mark(1, 1)


def test_lines_count_from_where_the_text_begins() -> None:
    """Front matter begins on the second line of its file."""
    assert yamltext.load("a: 1\nb: 2\n", first_line=2).mark(("b",)) == Mark(3, 1)
    with pytest.raises(YamlProblem) as caught:
        yamltext.load("a: 1\na: 2\n", first_line=2)
    assert caught.value.mark == Mark(3, 1)


def test_an_empty_text_is_nothing() -> None:
    """No document is None, not an error: who reads it decides."""
    assert yamltext.load("# only a comment\n").data is None


@pytest.mark.parametrize(
    ("text", "what", "mark", "key"),
    [
        ("a:\n  b: 1\n  b: 2\n", "given twice (first on line 2)", Mark(3, 3), "a.b"),
        ("a: !!python/object/apply:os.system [id]\n", "not allowed", Mark(1, 4), "a"),
        ("a: !!python/name:os.system\n", "could not determine a constructor", Mark(1, 4), "a"),
        ("a: !!set {x}\n", "not allowed", Mark(1, 4), "a"),
        ("a: !!binary aGk=\n", "not allowed", Mark(1, 4), "a"),
        ("1: x\n[a]: y\n", "must be plain text", Mark(2, 1), ""),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "must be plain text", Mark(3, 3), "c"),
        ("a: [1\nb: 2\n", "expected ',' or ']'", Mark(2, 2), ""),
        ("a: 1\n--- \nb: 2\n", "another document", Mark(2, 1), ""),
        ("a: 2026-13-45\n", "month must be in 1..12", Mark(1, 4), "a"),
        ("a: \x07\n", "not allowed", Mark(1, 1), ""),
    ],
)
def test_bad_yaml_is_named_with_its_place(text: str, what: str, mark: Mark, key: str) -> None:
    """Tags, duplicate keys, merges, two documents, bad syntax and bad dates are refused where they stand."""
    with pytest.raises(YamlProblem) as caught:
        yamltext.load(text)
    assert what in caught.value.what
    assert (caught.value.mark, caught.value.key) == (mark, key)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB, "aliases counted"),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper"),
        ("[" * 100_000, "nested deeper"),
        ("- " * 100_000, "nested deeper"),
        ("a: " + "{a: " * 100_000, "nested deeper"),
        ("a: &a [*a]\n", "nested deeper"),
        ("a: " + "x" * yamltext.MAX_CHARACTERS, "longer than 1,000,000"),
        ("[" + "1," * yamltext.MAX_NODES + "]", "more than 100,000 values"),
    ],
)
def test_a_hostile_text_is_refused(text: str, what: str) -> None:
    """Alias bombs, endless nesting, a document that holds itself and endless length end as an error, soon."""
    with pytest.raises(YamlProblem, match=what):
        yamltext.load(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a",), "a"), (("stages", "a", "hosts", 0, "port"), "stages.a.hosts[0].port"), ((0,), "[0]")],
)
def test_paths_are_written_as_people_do(path: tuple[Any, ...], text: str) -> None:
    """Dots between keys, brackets around indices."""
    assert yamltext.dotted(path) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('a:\n  b: "c\n  d: e\n\nf: "g"\n', " (in what begins at line 12)"),
        ("a: [b, c\n\nd: e\n", " (in what begins at line 11)"),
        ("a: [b c: d: e]\n", "did not find expected ',' or ']'"),
        ("a: 1\n--- \nb: 2\n", "another document"),
    ],
)
def test_what_nobody_closed_is_told_with_the_line_where_it_begins(text: str, said: str) -> None:
    """Bad syntax shows far below a quote or bracket that is left open; on one line there is nothing to add."""
    with pytest.raises(YamlProblem) as caught:
        yamltext.load(text, first_line=11)
    assert str(caught.value).endswith(said)
