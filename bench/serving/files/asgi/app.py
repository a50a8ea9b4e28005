"""An ASGI application that says in every answer which tag it is."""

import asyncio
import hashlib
import os

TAG = "v0.0.0"
SAID = f"tag={TAG} release={os.environ.get('TAGSHIP_RELEASE', '-')}"


async def app(scope, receive, send):
    """`/hello`, `/slow?SECONDS`, and the digest of what is posted to `/upload`."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    said = SAID
    if scope["path"] == "/slow":
        await asyncio.sleep(float(scope["query_string"]))
    if scope["path"] == "/upload":
        said += f" sha256={await digest(receive)}"
    body = f"{said} whole\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def digest(receive):
    """The SHA-256 of the request's body."""
    found, more = hashlib.sha256(), True
    while more:
        message = await receive()
        found.update(message.get("body", b""))
        more = message.get("more_body", False)
    return found.hexdigest()
