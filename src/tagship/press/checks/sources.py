"""Posts, pages and templates as they were written: every problem of every one of them, not only the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from tagship import config
from tagship.errors import ContentError
from tagship.press import content
from tagship.press.checks.findings import Finding
from tagship.press.content import Page, Post
from tagship.press.frontmatter import Source


@dataclass
class Sources:
    """What could be read, by the URL of its page; the texts of templates by name; and what is wrong."""

    by_url: dict[str, Source] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def bad(self) -> frozenset[str]:
        """The files that a build can't take."""
        return frozenset(finding.path for finding in self.findings)


def read(project: Path, site: config.Site) -> Sources:
    """Read every post, page and template of the project; what is wrong with one doesn't hide another."""
    found = Sources()
    folder = f"{site.source}/pages"
    _read_texts(found, project, site.posts, frozenset({".md"}), lambda name: content.read_post(project, name, site))
    _read_texts(
        found, project, folder, frozenset({".md", ".html"}), lambda name: content.read_page(project, name, folder)
    )
    _read_templates(found, project, f"{site.source}/templates")
    return found


def _read_texts(
    found: Sources, project: Path, folder: str, suffixes: frozenset[str], read_one: Callable[[str], Post | Page]
) -> None:
    try:
        names = content.find(project, folder, suffixes).texts
    except ContentError as error:
        found.findings.append(of_error(error))
        return
    for name in names:
        try:
            text = read_one(name)
        except ContentError as error:
            found.findings.append(of_error(error))
            continue
        other = found.by_url.setdefault(text.url, text.source)
        if other is not text.source:
            line = text.source.lines.get("permalink", text.source.lines.get("slug", 1))
            what = f"has the address {text.url}, and so has {other.name}"
            cure = "give one of them another slug or permalink"
            found.findings.append(Finding(name, line, 1, "duplicate-url", what, cure))


def _read_templates(found: Sources, project: Path, folder: str) -> None:
    environment = jinja2.Environment(autoescape=True)
    try:
        names = list(content.walk(project, folder))
    except ContentError as error:
        found.findings.append(of_error(error))
        return
    for name in names:
        try:
            text = (project / name).read_bytes().decode()
        except UnicodeDecodeError:
            found.findings.append(Finding(name, 1, 1, "template", "not UTF-8", "save it as UTF-8"))
            continue
        found.templates[name] = text
        try:
            environment.parse(text, name)
        except jinja2.TemplateSyntaxError as error:
            found.findings.append(Finding(name, error.lineno, 1, "template", error.message or "bad syntax"))


def of_error(error: ContentError) -> Finding:
    """What a build would end with, as a finding."""
    path = error.path.as_posix()
    code = "template" if path.startswith("theme/") or "/templates/" in f"/{path}" else "content"
    if "has the address" in error.what or error.what.startswith("publishes /"):
        code = "duplicate-url"
    return Finding(path, error.line or 1, error.column or 1, code, error.what, error.cure)


def of_warning(text: str) -> Finding:
    """A build's warning, `file:line: what`, as a finding."""
    where, _, what = text.partition(": ")
    path, _, line = where.rpartition(":")
    code = "markdown"
    if "there is no definition" in what:
        code = "undefined-reference"
    elif "is not published" in what:
        code = "not-published" if what.startswith("is not published") else "broken-link"
    return Finding(path or where, int(line) if line.isdigit() else 1, 1, code, what)


def aliases(sources: Sources) -> dict[str, str]:
    """Old addresses that texts claim by `aliases:`, and the URL of each text."""
    found = {}
    for url, source in sources.by_url.items():
        given = source.fields.get("aliases")
        for old in given if isinstance(given, list) else [given]:
            if isinstance(old, str) and old.startswith("/"):
                found[old] = url
    return found
