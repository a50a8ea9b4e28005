"""The command that goes on from here, as it is to be typed: pure, so that what a person is told can be tried."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from tagship.config import LOCAL_STAGE
from tagship.errors import HookFailed, HostFailed, LinkLost, TagshipError
from tagship.ship.plan import Plan
from tagship.ship.survey import HostSurvey

SKIP, LIMIT = "--skip", "--limit"


def command(
    verb: str,
    stage: str,
    *,
    tag: str | None = None,
    to: str | None = None,
    limit: Iterable[str] = (),
    skip: Iterable[str] = (),
) -> str:
    """`fab VERB` with the flags that aren't what they are by themselves."""
    flags = {
        "--stage": "" if stage == LOCAL_STAGE else stage,
        "--tag": tag or "",
        "--to": to or "",
        LIMIT: ",".join(limit),
        SKIP: ",".join(skip),
    }
    words = [word for flag, value in flags.items() if value for word in (flag, value)]
    return shlex.join(["fab", verb, *words])


def chosen(away: Mapping[str, str], hosts: Iterable[str], lost: Iterable[str]) -> tuple[list[str], list[str]]:
    """What to say after `--limit` and `--skip`, to leave out what this verb did and, of its `hosts`, the `lost` ones.

    `away` maps the hosts that it left alone to the flag that said so.
    """
    gone = list(lost)
    limit = [host for host in hosts if host not in gone] if LIMIT in away.values() else []
    return limit, [*(host for host in away if away[host] == SKIP), *([] if limit else gone)]


def converging(
    plan: Plan,
    surveys: Mapping[str, HostSurvey],
    away: Mapping[str, str],
    cause: TagshipError,
    lost: Iterable[str],
) -> str:
    """The one command that brings the hosts of `plan` that aren't `lost` to one release again.

    `cause` is what ended the plan. Where the release itself is at fault, or a hook was, that command deploys what was
    live before; otherwise it is the same once more, without those that are lost.
    """
    gone = list(lost)
    limit, skip = chosen(away, plan.hosts, gone)
    before = {survey.live.tag if survey.live else None for host, survey in surveys.items() if host not in gone}
    old = before.pop() if len(before) == 1 else None
    at_fault = isinstance(cause, HostFailed | HookFailed) and not isinstance(cause, LinkLost)
    if plan.release is not None and at_fault and old is not None:
        return command("deploy", plan.stage, tag=old, limit=limit, skip=skip)
    if plan.verb == "rollback":
        return command("rollback", plan.stage, to=plan.release, limit=limit, skip=skip)
    return command(plan.verb, plan.stage, tag=plan.tag if plan.verb == "deploy" else None, limit=limit, skip=skip)
