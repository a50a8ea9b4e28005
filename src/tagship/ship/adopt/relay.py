"""The release that an old service becomes: a relay to it, and settings such as every release has."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from importlib import resources
from typing import BinaryIO

import msgspec

from tagship import config
from tagship.config.values import Argv
from tagship.errors import TagshipError
from tagship.manifest import Delta, File, Manifest
from tagship.ship.deploy import plan_stage
from tagship.ship.plan import Step
from tagship.ship.shipment import Cargo, Made, Shipment, Stage

TAG = "adopted"
"""What stands for a tag: none was ever made of it."""
_PLACE = "app/relay.py"


def relay() -> bytes:
    """The program of an adopted release."""
    return resources.files("tagship.ship.adopt").joinpath("files", "relay.py").read_bytes()


def shipment_of(app: config.App, upstream: str | None, status: int) -> Shipment:
    """The old service as something to ship; its probe is the application's, and wants the status it gave before."""
    content = relay()
    manifest = Manifest.of([File(_PLACE, hashlib.sha256(content).hexdigest(), len(content))])
    start = Argv(["/usr/bin/python3", "-IS", "relay.py", "{socket}", upstream]) if upstream else None
    probe = msgspec.structs.replace(app.probe, status=status)
    settings = config.App(name=app.name, start=start, python="/usr/bin/python3", probe=probe)
    lock = hashlib.sha256(b"").hexdigest()
    digest = hashlib.sha256(json.dumps([manifest.digest, start, lock]).encode()).hexdigest()

    def open_object(_key: str) -> BinaryIO:
        return io.BytesIO(content)

    def known(_digest: str) -> Manifest | None:
        return None

    return Shipment(
        tag=TAG,
        commit="-",
        digest=digest,
        lock=lock,
        manifest=manifest,
        app=settings,
        open_object=open_object,
        wheels=lambda _python: (),
        installer=lambda _python: None,
        known=known,
    )


def staging(
    shipment: Shipment, stage: Stage, made: Made, release: str, hosts: Iterable[str]
) -> dict[str, list[Step]]:
    """The steps by which `release` is staged on each of `hosts`: a deploy's, but for the virtualenv."""
    cargo = Cargo((), None, None, Delta.between(Manifest(()), shipment.manifest))
    phase = plan_stage(shipment, dict.fromkeys(hosts, cargo), stage, made, release)
    steps = {host: [step for step in of if step.verb != "venv"] for host, of in phase.by_host().items()}
    for of in steps.values():
        if [step.verb for step in of] != ["declare", "put", "tree", "furnish", "seal"]:
            raise TagshipError(f"an adopted release isn't staged by {[step.verb for step in of]}")
    return steps
