"""What must hold before a release may go live: `smoke` in tagship.yml runs this on each host, in its virtualenv."""

from __future__ import annotations

import asyncio
import json
import unittest
from typing import Any

from app import app


def get(path: str, *, events: int = 1, scheme: str = "http") -> tuple[int, dict[str, str], str]:
    """Ask the application without a server: status, headers, and the first `events` pieces of the body."""
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": scheme}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "headers": [(b"host", b"localhost")]}
    said: list[dict[str, Any]] = []
    enough = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)
        if len(said) > events:
            enough.set()

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return said[0]["status"], headers, b"".join(piece.get("body", b"") for piece in said[1:]).decode()


class Hello(unittest.TestCase):
    def test_page_names_the_release(self) -> None:
        status, headers, body = get("/")
        self.assertEqual((status, headers["cache-control"]), (200, "no-store"))
        self.assertNotIn("{{", body)

    def test_json_knows_the_scheme(self) -> None:
        self.assertEqual(json.loads(get("/api/hello", scheme="https")[2])["scheme"], "https")

    def test_stream_isnt_collected_by_the_proxy(self) -> None:
        status, headers, body = get("/ticks", events=2)
        self.assertEqual((status, headers["x-accel-buffering"]), (200, "no"))
        self.assertIn("data: {", body)


if __name__ == "__main__":
    unittest.main()
