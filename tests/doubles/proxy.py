"""A proxy that leads the names of Azure's services to a double, for clients that cannot be given another address.

Terraform's azurerm backend calls https://ACCOUNT.blob.core.windows.net and https://login.microsoftonline.com. Both
clients of storage, Terraform's and Azure's SDK, ask the proxy of HTTPS_PROXY for a tunnel (RFC 9110, CONNECT); their
TLS ends in the double, whose certificate has these names. Any other name is refused.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

KNOWN = re.compile(r"CONNECT (login\.microsoftonline\.com|[a-z0-9]+\.blob\.core\.windows\.net):443 HTTP/1\.[01]\r\n")


class _Server(ThreadingTCPServer):
    daemon_threads = True
    port: int  # of the double


class _Tunnel(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        request = self.rfile.readline().decode("ascii")
        while self.rfile.readline().strip():
            pass
        if not KNOWN.fullmatch(request):
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.port)) as double:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            answers = threading.Thread(target=_copy, args=(double, self.connection), daemon=True)
            answers.start()
            _copy(self.connection, double)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends, then end the target's input."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of both has gone


@contextmanager
def running_proxy(double: str) -> Iterator[dict[str, str]]:
    """Run a proxy to the double at an address until the block ends; return the variables for its clients."""
    with _Server(("127.0.0.1", 0), _Tunnel) as server:
        server.port = urlsplit(double).port or 443
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield {"HTTPS_PROXY": f"http://127.0.0.1:{server.server_address[1]}", "NO_PROXY": "localhost,127.0.0.1"}
        finally:
            server.shutdown()
