"""Fills in the files of `files/`, and a project's own template, from a host's settings."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError

from tagship.errors import ConfigError
from tagship.ship.setup.settings import Settings

HELPER = "/usr/local/sbin/tagship-helper"
HOMES = ("/home/", "/root/", "/run/user/")


def read(name: str) -> str:
    """The text of a file of ours."""
    return resources.files("tagship.ship.setup").joinpath("files", name).read_text("utf-8")


def render(name: str, settings: Settings) -> str:
    """One of our own templates, filled in."""
    return _fill(read(name), variables(settings), name)


def site(settings: Settings) -> str:
    """nginx's site: from the project's own template, or from ours. Raises `ConfigError` with file and line."""
    if settings.template is None:
        return render("nginx.conf.j2", settings)
    called = settings.nginx.template or ""
    return f"# {settings.name}: written by tagship (fab setup) from {called}.\n" + _fill(
        settings.template, variables(settings), called
    )


def variables(settings: Settings) -> dict[str, Any]:
    """What a template may name (the head of nginx.conf.j2 tells people)."""
    return {
        "name": settings.name,
        "app": settings.app,
        "stage": settings.stage,
        "root": settings.root,
        "deploy": settings.deploy,
        "user": settings.user,
        "helper": HELPER,
        "runs": settings.runs,
        "served": settings.served,
        "nginx": settings.nginx if settings.web else None,
        "memory": settings.memory,
        "stop_seconds": settings.stop_seconds,
        "umask": "0022" if settings.served else "0027",
        # Its own root must stay visible to it, wherever that is.
        "protect_home": "read-only" if f"{settings.root}/".startswith(HOMES) else "yes",
    }


def _fill(text: str, values: dict[str, Any], called: str) -> str:
    environment = Environment(  # noqa: S701  (configuration files: nothing to escape)
        undefined=StrictUndefined, keep_trailing_newline=True
    )
    try:
        return environment.from_string(text).render(values)
    except TemplateSyntaxError as error:
        raise ConfigError(str(error.message), path=called, line=error.lineno, cure="mend the template") from None
    except Exception as error:  # whatever a template's expression can raise is the template's mistake
        known = ", ".join(sorted(values))
        what = str(error) or type(error).__name__
        raise ConfigError(
            what, path=called, line=_line(error), cure=f"mend the template; it knows: {known}"
        ) from None


def _line(error: Exception) -> int | None:
    """The line of the template in which `error` arose: Jinja2 maps its frames back to it."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
