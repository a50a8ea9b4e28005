"""The files of one site, by what they are for, and what became of them since a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tagship import config
from tagship.press import content, frontmatter, inputs
from tagship.press.reads import digest


@dataclass
class Sources:
    """What was found. `files` has the digest of every file but texts that nobody has read yet."""

    project: Path
    texts: dict[str, str]
    """Each post and page to its kind, posts first."""
    others: list[str]
    """Files beside posts and pages that are not published."""
    templates: dict[str, bytes]
    """The project's own, by path below their folder."""
    assets: list[str]
    static: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    changed: dict[str, bytes] = field(default_factory=dict)
    """The bytes of texts that differ from those of an earlier build."""

    def compare(self, known: Mapping[str, bytes]) -> None:
        """Read and hash every text, and keep the bytes of those that differ from `known`."""
        base = f"{self.project}/"
        for name in self.texts:
            data = inputs.read(f"{base}{name}", frontmatter.MAX_BYTES)
            found = self.files[name] = digest(data)
            if known.get(name) != found:
                self.changed[name] = data


def find(project: Path, site: config.Site) -> Sources:
    """List everything, and hash all but the texts. Raises `ContentError` for a link that leads out of the project."""
    posts = content.find(project, site.posts, frozenset({".md"}))
    folder = f"{site.source}/pages"
    pages = content.find(project, folder, frozenset({".md", ".html"}))
    texts = dict.fromkeys(posts.texts, content.POSTS) | dict.fromkeys(pages.texts, content.PAGES)
    own = f"{site.source}/templates"
    found = Sources(
        project,
        texts,
        [*posts.others, *pages.others],
        {str(PurePosixPath(name).relative_to(own)): read(project, name) for name in inputs.walk(project, own)},
        inputs.walk(project, f"{site.source}/assets"),
        list(inputs.published_static(inputs.walk(project, f"{site.source}/static"))),
    )
    found.files.update({f"{own}/{name}": digest(data) for name, data in found.templates.items()})
    found.files.update({name: digest(read(project, name)) for name in (*found.assets, *found.static)})
    found.files.update(dict.fromkeys(found.others, b""))
    return found


def read(project: Path, name: str) -> bytes:
    """The bytes of one file of the project."""
    return inputs.read(f"{project}/{name}")
