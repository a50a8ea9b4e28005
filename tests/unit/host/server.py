"""The application of the tests' releases: HTTP on the unix socket it is given, standard library only."""

import hashlib
import http.server
import os
import signal
import socketserver
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "front"

    def log_message(self, *args):
        sys.stderr.write(f"served {self.path}\n")

    def answer(self, body, status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path
        print("accepted", path, flush=True)
        if path.startswith("/slow/"):
            time.sleep(float(path.rpartition("/")[2]))
            self.answer(b"slow " + os.environ["TAGSHIP_RELEASE"].encode())
        elif path == "/big":
            self.answer(b"0123456789abcdef" * (1 << 20))
        elif path == "/stream":
            self.send_response(200)
            self.end_headers()
            for _ in range(3):
                self.wfile.write(b"piece ")
                self.wfile.flush()
            self.close_connection = True
        elif path == "/headers":
            self.answer("".join("{}: {}\n".format(*item) for item in self.headers.items()).encode())
        elif path == "/early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
            self.answer(b"late")
        elif path == "/upgrade":
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            while True:
                line = self.rfile.readline()
                if not line:
                    break
                self.wfile.write(line.upper())
            self.close_connection = True
        elif path == "/cut":
            self.close_connection = True
        elif path == "/text":
            with open("text.txt", "rb") as file:  # noqa: PTH123
                self.answer(file.read())
        elif path.startswith("/status/"):
            self.answer(b"as asked", int(path.rpartition("/")[2]))
        elif path.startswith("/env/"):
            self.answer(os.environ.get(path.rpartition("/")[2], "none").encode())
        else:
            self.answer(os.environ["TAGSHIP_RELEASE"].encode())

    do_HEAD = do_GET

    def do_POST(self):
        if self.path == "/refuse":
            self.close_connection = True
            self.answer(b"too large", 413)
            return
        left = int(self.headers["Content-Length"])
        check = hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece:
                return
            check.update(piece)
            left -= len(piece)
        self.answer(check.hexdigest().encode())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("front", 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("listening", flush=True)
    Server(sys.argv[1], Handler).serve_forever()
