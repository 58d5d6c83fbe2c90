"""Hands on a local web page under a policy that forbids requests to other machines."""

from __future__ import annotations

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TIMEOUT_S = 30.0
KEPT_HEADERS = ("Content-Type", "Content-Encoding", "Cache-Control", "rerun-final-length")
# Fonts, and connections that browsers open before any policy is asked.
FOREIGN_LINKS = re.compile(rb"<link\s[^>]*https?://[^>]*>")


def policy(host: str, data_port: int) -> str:
    """Content-Security-Policy: this server and the data port, nothing else.

    Rerun's page has scripts and styles in line, and its program is WebAssembly.
    """
    return (
        f"default-src 'self' data: blob:; connect-src 'self' data: blob: "
        f"http://{host}:{data_port}; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' "
        "blob:; style-src 'self' 'unsafe-inline'; form-action 'none'; base-uri 'none'"
    )


class PageServer:
    """Serves what another server on this host serves, with the policy; use it with `with`."""

    def __init__(self, host: str, port: int, source_port: int, data_port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hand_on(self, host, source_port, policy(host, data_port))

            def log_message(self, *args: object) -> None:
                """No line for each request."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise OSError(
                f"port {port} of {host} is not free ({error.strerror}); --port chooses another"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="page"
        )

    def __enter__(self) -> PageServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def hand_on(request: BaseHTTPRequestHandler, host: str, port: int, rules: str) -> None:
    """Answer a GET with what the other server answers."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        accepted = request.headers.get("Accept-Encoding", "identity")
        connection.request("GET", request.path, headers={"Accept-Encoding": accepted})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        request.send_error(502)
        return
    finally:
        connection.close()
    if answer.getheader("Content-Type", "").startswith("text/html"):
        body = FOREIGN_LINKS.sub(b"", body)
    request.send_response(answer.status)
    for name in KEPT_HEADERS:
        if value := answer.getheader(name):
            request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.send_header("Content-Security-Policy", rules)
    request.end_headers()
    request.wfile.write(body)
