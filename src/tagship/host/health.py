"""Whether what is current is well, asked once: a survey's question, which waits two seconds at most."""

from __future__ import annotations

from typing import Optional

from tagship.host import http, probe, stored
from tagship.host.layout import Layout
from tagship.host.units import WEB

_GLANCE = 2.0


def judge(
    layout: Layout,
    current: Optional[str],
    declared: Optional[stored.Declared],
    serving: Optional[str],
    parts: dict[str, dict[str, list[int]]],
    front: Optional[probe.Front],
) -> tuple[bool, str]:
    """Whether it is, and why not where that can be told in words.

    All its parts must live; what answers requests must do so as its tag said. What runs nothing is well where a web
    server here serves it.
    """
    if current is None:
        return False, ""
    if declared is None:
        return False, "its record on disk is damaged"
    if WEB in declared.parts and serving != current:
        return False, ""
    idle = [part for part in declared.parts if part not in parts.get(current, {})]
    if idle:
        return False, "the unit `{}` doesn't run".format(idle[0])
    fault = ""
    if WEB in declared.parts:
        fault = probe.look(layout, declared)
    elif layout.ready is not None and front is not None and WEB in declared.record.get("roles", [WEB]):
        fault = _look_through(front, declared)
    return not fault, fault


def _look_through(front: probe.Front, declared: stored.Declared) -> str:
    """What is wrong with how a web server serves it; where none listens, that is told elsewhere."""
    if not front.listens():
        return ""
    try:
        return front.fault_of_web_server(probe.of(declared), declared.release, _GLANCE)
    except (OSError, ValueError) as error:
        return http.words(error)
