"""A tiny application without dependencies, as a shipment that the real agent can run."""

from __future__ import annotations

import hashlib
import io
import random
import socket
from collections.abc import Mapping

from tagship.config import App, Argv, Probe, Seconds
from tagship.manifest import File, Manifest
from tagship.ship.shipment import Shipment

SERVER = """
import http.server, os, socketserver, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open("version.txt", "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

socketserver.ThreadingUnixStreamServer(sys.argv[1], Handler).serve_forever()
"""
APP = App(
    name="app",
    start=Argv(("python3", "serve.py", "{socket}")),
    smoke=Argv(("python3", "-c", "open('version.txt')")),
    probe=Probe(timeout=Seconds(20)),
)


def free_port() -> int:
    """A port that nobody listens at, below those that the kernel gives to outgoing connections meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def shipment(tag: str, *, server: str = SERVER, app: App = APP) -> Shipment:
    """The application at `tag`; it answers every request with its tag."""
    files = {"app/serve.py": server.encode(), "app/version.txt": tag.encode(), "public/index.html": tag.encode()}
    return shipment_of(tag, files, app)


def shipment_of(tag: str, files: Mapping[str, bytes], app: App) -> Shipment:
    """`files`, by path below the release, at `tag`; no wheels."""
    keys = {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}
    contents = {keys[name]: text for name, text in files.items()}
    manifest = Manifest.of(File(name, keys[name], len(text)) for name, text in files.items())
    return Shipment(
        tag=tag,
        commit="f" * 40,
        digest=hashlib.sha256(manifest.digest.encode()).hexdigest(),
        lock="b" * 64,
        manifest=manifest,
        app=app,
        open_object=lambda key: io.BytesIO(contents[key]),
        wheels=lambda python: (),
        installer=lambda python: None,
        known=lambda digest: None,
    )
