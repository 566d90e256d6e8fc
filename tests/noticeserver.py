"""A real server of notices as a process of its own: SMN, a webhook receiver, or a broken one, as a test says.

Run as a program it is the server: `python -m tests.noticeserver PORT FOLDER`. It does what the file `script` in the folder says now: a list
of answers, of which each request takes the next and the last one stays. Every request is a line of the file `seen`.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.processes import Process, start_module

# What SMN says.
PUBLISHED: dict[str, Any] = {"status": 200, "body": '{"request_id":"r1","message_id":"m1"}'}


@dataclass(frozen=True)
class SeenPost:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class NoticeServer:
    """url: without a path."""

    port: int
    folder: Path
    process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, *answers: dict[str, Any]) -> None:
        """From now on: status, body, headers; or {"hang": true}, which never answers. only: for paths with this in them."""
        aside = self.folder / "script.new"
        aside.write_text(json.dumps(answers))
        aside.replace(self.folder / "script")

    def seen(self, part: str = "") -> list[SeenPost]:
        """Everything it got so far whose path has this in it."""
        path = self.folder / "seen"
        # The last line may be one that is being written.
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        posts = [
            SeenPost(entry["method"], entry["path"], entry["headers"], base64.b64decode(entry["body"]))
            for entry in map(json.loads, lines)
        ]
        return [post for post in posts if part in post.path]

    def stop(self) -> None:
        """It is gone."""
        self.process.kill()


def start_notice_server(folder: Path) -> NoticeServer:
    """A server that publishes everything."""
    files = folder / "notices"
    files.mkdir()
    port, process = start_module("tests.noticeserver", str(files), cwd=folder, log_name="notices.log")
    server = NoticeServer(port, files, process)
    server.answer(PUBLISHED)
    return server


def main() -> None:
    """Serve until killed."""
    folder = Path(sys.argv[2])
    lock = threading.Lock()
    taken = [0, ""]

    def next_answer() -> dict[str, Any]:
        text = (folder / "script").read_text()
        if text != taken[1]:
            taken[:] = [0, text]
        answers = json.loads(text)
        answer: dict[str, Any] = answers[min(int(taken[0]), len(answers) - 1)]
        taken[0] = int(taken[0]) + 1
        return answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = {"method": self.command, "path": self.path, "headers": headers}
            seen["body"] = base64.b64encode(body).decode()
            with lock:
                answer = next_answer()
                if answer.get("only", "") not in self.path:
                    answer = PUBLISHED
                with (folder / "seen").open("a") as file:
                    file.write(json.dumps(seen) + "\n")
            if answer.get("hang"):
                # Until the other side gives up and closes.
                self.connection.recv(1)
                self.close_connection = True
                return
            data = str(answer.get("body", "")).encode()
            self.send_response(answer["status"])
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """The request was written down already."""

    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
