"""The fault proxy passes everything on as it came, but for the fault that was asked for."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind, s3_error
from tests.servers import S3Server
from tests.waiting import PATIENCE_S

BODY = bytes(range(256)) * 1024


class Origin(BaseHTTPRequestHandler):
    """GET answers BODY (chunked under /chunked), PUT remembers what came."""

    protocol_version = "HTTP/1.1"
    stored: dict[str, bytes]
    hosts: list[str]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(BODY), 1000):
                piece = BODY[start : start + 1000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

    def do_PUT(self) -> None:
        self.stored[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        """Nothing is logged."""


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that leave."""

    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def origin() -> Iterator[ThreadingHTTPServer]:
    Origin.stored, Origin.hosts = {}, []
    server = QuietServer(("127.0.0.1", 0), Origin)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(origin: ThreadingHTTPServer) -> Iterator[FaultProxy]:
    with FaultProxy(f"http://127.0.0.1:{origin.server_port}") as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(proxy.url)
    with closing(
        http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    ) as connection:
        yield connection


def ask(
    client: http.client.HTTPConnection, path: str = "/x", method: str = "GET", body: bytes | None = None
) -> Any:
    client.request(method, path, body=body)
    answer = client.getresponse()
    return answer.status, answer.read(), answer


def flips(data: bytes) -> list[int]:
    return [n for n, (a, b) in enumerate(zip(data, BODY, strict=True)) if a != b]


def test_without_a_fault_bytes_pass_on_one_kept_connection(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    sock = None
    for path in ("/x", "/chunked", "/x"):
        assert ask(client, path)[:2] == (200, BODY)
        assert sock in (None, client.sock)
        sock = client.sock
    assert ask(client, "/put", "PUT", BODY)[:2] == (200, b"ok")
    assert Origin.stored["/put"] == BODY
    assert client.sock is sock
    assert proxy.count("GET") == 3


def test_the_host_header_passes_as_the_client_sent_it(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    ask(client)
    assert Origin.hosts == [urlsplit(proxy.url).netloc]


@pytest.mark.parametrize("path", ["/x", "/chunked"])
def test_one_byte_of_the_nth_answer_is_flipped(
    proxy: FaultProxy, client: http.client.HTTPConnection, path: str
) -> None:
    proxy.add(Fault(Kind.FLIP_ANSWER, "GET", skip=1, at=70_000))
    assert ask(client, path)[1] == BODY
    assert flips(ask(client, path)[1]) == [70_000]
    assert ask(client, path)[1] == BODY


def test_an_offset_below_zero_counts_from_the_end(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(Fault(Kind.FLIP_ANSWER, at=-1))
    assert flips(ask(client)[1]) == [len(BODY) - 1]


def test_one_byte_of_a_request_is_flipped(proxy: FaultProxy, client: http.client.HTTPConnection) -> None:
    proxy.add(Fault(Kind.FLIP_REQUEST, "PUT", target="^/b", at=5))
    ask(client, "/a", "PUT", BODY)
    ask(client, "/b", "PUT", BODY)
    assert Origin.stored["/a"] == BODY
    assert flips(Origin.stored["/b"]) == [5]


def test_a_truncated_answer_ends_early(proxy: FaultProxy, client: http.client.HTTPConnection) -> None:
    proxy.add(Fault(Kind.TRUNCATE, at=1000))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(client)
    assert caught.value.partial == BODY[:1000]


def test_a_truncated_chunked_answer_has_no_last_chunk(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(Fault(Kind.TRUNCATE, at=1500))
    with pytest.raises(http.client.IncompleteRead):
        ask(client, "/chunked")


def test_a_lengthened_answer_is_longer_and_says_so(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(Fault(Kind.LENGTHEN, at=7))
    assert ask(client)[1] == BODY + b"x" * 7


def test_an_overrun_answer_leaves_bytes_on_the_connection(proxy: FaultProxy) -> None:
    proxy.add(Fault(Kind.OVERRUN, at=7))
    parts = urlsplit(proxy.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as raw:
        raw.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"x" * 7):
            answer += raw.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(BODY)}".encode() in head
    assert body == BODY + b"x" * 7


def test_an_error_answer_keeps_the_request_from_the_server(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(s3_error(503, "SlowDown", method="PUT", times=2, retry_after_s=3))
    for _ in range(2):
        status, body, answer = ask(client, "/p", "PUT", BODY)
        assert (status, answer.headers["Retry-After"]) == (503, "3")
        assert b"<Code>SlowDown</Code>" in body
    assert Origin.stored == {}
    assert ask(client, "/p", "PUT", BODY)[0] == 200


def test_an_error_inside_200_may_hide_that_the_server_acted(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(s3_error(200, "InternalError", method="PUT", forward=True))
    status, body, _ = ask(client, "/p", "PUT", BODY)
    assert (status, b"InternalError" in body) == (200, True)
    assert Origin.stored["/p"] == BODY


def test_an_empty_200_is_given(proxy: FaultProxy, client: http.client.HTTPConnection) -> None:
    proxy.add(Fault(Kind.ANSWER))
    assert ask(client)[:2] == (200, b"")


def test_a_lost_answer_comes_after_the_server_acted(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(Fault(Kind.LOSE, "PUT"))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(client, "/p", "PUT", BODY)
    assert Origin.stored["/p"] == BODY


@pytest.mark.parametrize("path", ["/f", "/chunked"])
def test_an_answer_without_length_ends_with_its_connection(
    proxy: FaultProxy, client: http.client.HTTPConnection, path: str
) -> None:
    proxy.add(Fault(Kind.UNSIZED))
    client.request("GET", path)
    answer = client.getresponse()
    assert (answer.getheader("Content-Length"), answer.getheader("Transfer-Encoding")) == (None, None)
    assert answer.read() == BODY
    client.close()
    assert ask(client, path)[1] == BODY


def test_of_an_answer_without_length_bytes_may_be_missing(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    proxy.add(Fault(Kind.UNSIZED, at=-3))
    assert ask(client)[1] == BODY[:-3]


def test_a_reset_comes_before_the_server_acts(proxy: FaultProxy, client: http.client.HTTPConnection) -> None:
    proxy.add(Fault(Kind.RESET))
    with pytest.raises(ConnectionResetError):
        ask(client, "/p", "PUT", b"x")
    assert Origin.stored == {}


@pytest.mark.parametrize("kind", [Kind.STALL, Kind.SILENCE])
def test_a_stall_lasts_until_the_client_gives_up(
    proxy: FaultProxy, client: http.client.HTTPConnection, kind: Kind
) -> None:
    proxy.add(Fault(kind, at=10))
    client.timeout = 0.3
    with pytest.raises(TimeoutError):
        ask(client)


def test_refused_connections_are_taken_again_on_the_same_port(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    ask(client)
    url = proxy.url
    proxy.refuse()
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(client)
    client.close()
    with pytest.raises(ConnectionRefusedError):
        ask(client)
    client.close()
    proxy.accept()
    assert proxy.url == url
    assert ask(client)[1] == BODY


def test_a_refusal_meets_every_connection_and_ends_by_itself(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    other = http.client.HTTPConnection(client.host, client.port, timeout=PATIENCE_S)
    ask(other)
    proxy.add(Fault(Kind.REFUSE, target="/p", delay_s=2.0))
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(client, "/p", "PUT", b"x")
    client.close()
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(other)
    other.close()
    refused = 0
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            assert ask(client)[1] == BODY
            break
        except ConnectionRefusedError:
            refused += 1
            client.close()
            time.sleep(0.02)
    assert refused
    assert Origin.stored == {}
    assert time.monotonic() < deadline


def test_a_share_of_requests_is_met_the_same_way_for_one_seed(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    def met(seed: int) -> list[bool]:
        proxy.clear()
        proxy.add(s3_error(503, "SlowDown", times=None, chance=0.5, seed=seed))
        return [ask(client)[0] == 503 for _ in range(40)]

    first = met(1)
    assert 8 < sum(first) < 32
    assert met(1) == first
    assert met(2) != first


def test_a_client_that_leaves_in_mid_request_takes_the_server_connection_with_it(
    proxy: FaultProxy, client: http.client.HTTPConnection
) -> None:
    parts = urlsplit(proxy.url)
    with socket.create_connection((parts.hostname, parts.port)) as half:
        half.sendall(b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    deadline = time.monotonic() + PATIENCE_S
    while "/half" not in Origin.stored and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Origin.stored["/half"] == b"abc"
    assert ask(client)[1] == BODY


async def test_signatures_hold_through_the_proxy(seaweed: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    with FaultProxy(seaweed.url) as proxy:
        s3 = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=proxy.url,
            region_name=seaweed.region,
            aws_access_key_id=seaweed.access_key,
            aws_secret_access_key=seaweed.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        s3.put_object(Bucket=bucket, Key="a b+c/é", Body=BODY)
        assert s3.get_object(Bucket=bucket, Key="a b+c/é")["Body"].read() == BODY
        proxy.add(Fault(Kind.FLIP_REQUEST, "PUT", at=100))
        with pytest.raises(ClientError):
            s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="CRC64NVME")
        proxy.add(s3_error(403, "AccessDenied", method="GET"))
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.get_object(Bucket=bucket, Key="a b+c/é")
        s3.close()
    assert list(await seaweed.list_all(bucket)) == ["a b+c/é"]
