"""What a tag itself says of how it ships: its configuration, which hosts are asked by before anything is packed."""

from __future__ import annotations

from pathlib import Path

from tagship import config as config_file
from tagship.config import Config
from tagship.errors import ConfigError
from tagship.release import git
from tagship.release.tags import Tag


def read_config(repo: Path, tag: Tag) -> Config:
    """tagship.yml as `tag` has it; raises `ConfigError` whose file is `v1.0.0:tagship.yml`."""
    where = Path(f"{tag.name}:{config_file.FILE_NAME}")
    try:
        data = git.run(repo, "cat-file", "blob", f"{tag.commit}:./{config_file.FILE_NAME}")
    except git.GitFailed:
        raise ConfigError(
            "the tag has no such file",
            path=where,
            cure=f"commit {config_file.FILE_NAME} and make a new tag; an older tag can't be shipped",
        ) from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 (byte {error.start})", path=where, cure="save it as UTF-8") from None
    return config_file.parse(text, where)
