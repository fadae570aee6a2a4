"""A proxy in front of a real server: it records what is asked, and spoils what is answered."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    body: bytes
    cut: int | None = None  # so many bytes of it come, and then the connection is gone


class Proxy:
    """``spoil(path, answer)`` gives the answer to send; None never answers.

    The path has its query. A request that is signed is passed on with the ``Host`` that was signed,
    and one that is not with that of the server behind.
    """

    def __init__(self, endpoint, spoil=lambda path, answer: answer):
        behind = urlsplit(endpoint)
        self.asked = []
        self.spoil = spoil
        self._ended = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                proxy.asked.append(self.path)
                connection = HTTPConnection(behind.netloc)
                connection.putrequest(self.command, self.path, skip_host=True)
                signed = "authorization" in self.headers
                for name, text in self.headers.items():
                    host = name.lower() == "host" and not signed
                    connection.putheader(name, behind.netloc if host else text)
                connection.endheaders()
                with connection.getresponse() as reply:
                    kept = dict(reply.getheaders())
                    came = Answer(reply.status, reply.read())
                connection.close()
                self._send(proxy.spoil(self.path, came), kept, came)

            do_HEAD = do_GET  # noqa: N815  (the name that it has to have)

            def _send(self, answer, kept, came):
                if answer is None:
                    proxy._ended.wait()
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, text in kept.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, text)
                told = kept.get("Content-Length", kept.get("content-length"))
                untouched = answer is came and self.command == "HEAD" and told
                self.send_header("Content-Length", told if untouched else str(len(answer.body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                self.wfile.write(answer.body[: answer.cut])
                self.close_connection = answer.cut is not None

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}{behind.path}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
