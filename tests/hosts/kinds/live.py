"""An ASGI application: `/app/...` as the WSGI one, `/app/stream` for three seconds, and a WebSocket that echoes."""

import asyncio
import os

RELEASE = os.environ["TAGSHIP_RELEASE"].encode()


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await talk(receive, send)
    elif scope["type"] == "http" and scope["path"] == "/app/stream":
        await stream(send)
    elif scope["type"] == "http":
        here = scope["path"].startswith("/app/")
        await answer(send, 200 if here else 404, RELEASE if here else b"the application knows no such address")


async def answer(send, status, body):
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


async def stream(send):
    # Streamed as it comes: nginx would keep small pieces back.
    headers = [(b"content-type", b"text/plain"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(30):
        await send({"type": "http.response.body", "body": RELEASE + b"\n", "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"end\n"})


async def talk(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"] + " " + RELEASE.decode()})
