"""A real web server as a process of its own: files with headers as a test wants them, redirects, a log of what was asked.

Run as a program it is the server: `python -m tests.webserver PORT FOLDER`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.processes import Process, start_module


def _name(path: str) -> str:
    return sha256(path.encode()).hexdigest()


@dataclass(frozen=True)
class WebServer:
    """A running server. host: with its port."""

    host: str
    folder: Path
    process: Process

    def put(
        self,
        key: str,
        data: bytes,
        *,
        etag: str = "",
        weak: bool = False,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> None:
        """The key is answered with this."""
        sent = dict(headers or {})
        if etag:
            sent["ETag"] = f'W/"{etag}"' if weak else f'"{etag}"'
        (self.folder / f"{_name(key)}.bin").write_bytes(data)
        (self.folder / f"{_name(key)}.json").write_text(json.dumps({"status": status, "headers": sent}))

    def redirect(self, key: str, location: str) -> None:
        """The key is answered with a redirect."""
        self.put(key, b"", headers={"Location": location}, status=302)

    def log(self) -> str:
        """Every request line and header it got."""
        return self.process.log_path.read_text()

    def stop(self) -> None:
        """It is gone."""
        self.process.kill()


def start_web(folder: Path) -> WebServer:
    """A server without files."""
    files = folder / "web"
    files.mkdir()
    port, process = start_module("tests.webserver", str(files), cwd=folder, log_name="web.log")
    return WebServer(f"127.0.0.1:{port}", files, process)


def main() -> None:
    """Serve until killed."""
    files = Path(sys.argv[2])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = unquote(urlsplit(self.path).path[1:])
            print(self.requestline, dict(self.headers), flush=True)
            body, meta = files / f"{_name(key)}.bin", files / f"{_name(key)}.json"
            found = meta.exists()
            told = json.loads(meta.read_text()) if found else {"status": 404, "headers": {}}
            data = body.read_bytes() if found else b"nothing here"
            self.send_response(told["status"])
            for name, value in told["headers"].items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """The request was printed already."""

    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
