"""A visitor from outside: a browser without a screen, with the name it was told, its cookies, and nothing else."""

from __future__ import annotations

import http.client
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.host import Host

PATIENCE = 30.0
"""Seconds without a byte after which an answer counts as lost."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Visitor:
    """Somebody who asks for `domain` at `host`, port 80."""

    host: Host
    domain: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str = "/") -> Answer:
        return self.ask("GET", path)

    def post(self, fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]] | None = None) -> Answer:
        """Send the form of the page at `/`, as it was given: with the hidden field that it has."""
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', self.get().text))
        line = uuid.uuid4().hex
        parts = [
            f'--{line}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in {**hidden, **fields}.items()
        ]
        for name, (filename, content) in (files or {}).items():
            disposition = f'form-data; name="{name}"; filename="{filename}"'
            head = f"--{line}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
            parts.append(head.encode() + content + b"\r\n")
        body = b"".join(parts) + f"--{line}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={line}", "Origin": f"http://{self.domain}"}
        return self.ask("POST", "/", body, headers)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request over a connection of its own; raises `OSError` where nothing answers in time."""
        connection = http.client.HTTPConnection(self.host.address, 80, timeout=PATIENCE)
        try:
            sent = {"Host": self.domain, **(headers or {})}
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            for cookie in response.headers.get_all("Set-Cookie", []):
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
