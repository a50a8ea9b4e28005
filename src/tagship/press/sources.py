"""The files of one site, by what they are for, and what became of them since a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tagship import config
from tagship.errors import ContentError
from tagship.press import content, frontmatter, inputs, slugs
from tagship.press.reads import digest

_TAKEN = frozenset({content.POSTS, content.PAGES})


@dataclass
class Sources:
    """What was found. `files` has the digest of every file but texts that nobody has read yet."""

    project: Path
    texts: dict[str, str]
    """Each post, page and text of a collection to its kind, posts first."""
    others: list[str]
    """Files beside posts and pages that are not published."""
    templates: dict[str, bytes]
    """The project's own, by path below their folder."""
    data: dict[str, bytes]
    """The project's data files, by path below their folder."""
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
    items, beside = _collections(project, f"{site.source}/collections")
    texts |= items
    own = f"{site.source}/templates"
    found = Sources(
        project,
        texts,
        [*posts.others, *pages.others, *beside],
        {str(PurePosixPath(name).relative_to(own)): read(project, name) for name in inputs.walk(project, own)},
        {name: read(project, f"{site.source}/data/{name}") for name in _data(project, f"{site.source}/data")},
        inputs.walk(project, f"{site.source}/assets"),
        list(inputs.published_static(inputs.walk(project, f"{site.source}/static"))),
    )
    found.files.update({f"{own}/{name}": digest(data) for name, data in found.templates.items()})
    found.files.update({f"{site.source}/data/{name}": digest(data) for name, data in found.data.items()})
    found.files.update({name: digest(read(project, name)) for name in (*found.assets, *found.static)})
    found.files.update(dict.fromkeys(found.others, b""))
    return found


def _collections(project: Path, folder: str) -> tuple[dict[str, str], list[str]]:
    """The texts of all collections, to the collection that each is of; and what else lies there."""
    found = content.find(project, folder, frozenset({".md"}))
    items = {
        name: name[len(folder) + 1 :].partition("/")[0] for name in found.texts if "/" in name[len(folder) + 1 :]
    }
    for name, kind in items.items():
        wrong = slugs.problem_of(kind) or ("is what posts and pages are called" if kind in _TAKEN else None)
        if wrong:
            raise ContentError(f"the collection's name {wrong}", path=name, cure="rename its folder")
    return items, [*found.others, *(name for name in found.texts if name not in items)]


def _data(project: Path, folder: str) -> list[str]:
    names = [name for name in inputs.walk(project, folder) if not inputs.hidden(name, folder)]
    return [name[len(folder) + 1 :] for name in names]


def read(project: Path, name: str) -> bytes:
    """The bytes of one file of the project."""
    return inputs.read(f"{project}/{name}")
