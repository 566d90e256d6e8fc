"""SDK-HMAC-SHA256: published vectors, the SDK's own signer as oracle, and that a signature is good for one request alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain import signature
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.signature import SignedRequest

DATE = "20260102T030405Z"
PID = "0123456789abcdef0123456789abcdef"
HEADERS = {
    "Content-Type": "application/json",
    "Host": "127.0.0.1:8080",
    "X-Project-Id": "p1",
    "X-Sdk-Date": DATE,
}
NAMES = "content-type;host;x-project-id;x-sdk-date"


def request(
    method: str, target: str, headers: dict[str, str], body: bytes = b"", *, authorization: str = ""
) -> SignedRequest:
    path, _, query = target.partition("?")
    pairs = (*headers.items(), *((("Authorization", authorization),) if authorization else ()))
    return SignedRequest(method, path, query, pairs, body)


def authorization(access_key: str, names: str, value: str) -> str:
    return f"SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={names}, Signature={value}"


def is_good(signed: SignedRequest, secret_key: str) -> bool:
    try:
        claim = signature.claim_of(signed)
        return signature.matches(claim, signed, secret_key, signature.body_hash(signed))
    except RequestError:
        return False


# Signed by the Python SDK: method, target, headers, body, keys, hash of the canonical request, signed names, signature.
VECTORS = [
    (
        *("GET", "/v2/p1/tasks?limit=10&offset=0&task_name=a%20b%2A%28%C3%A9%29%2F~", HEADERS, b""),
        *("AK1", "sk-AK1", "2889fc8eb270a3ea3cc1003e6fab36ffbf052f18bbc4997837de8bfb537d2fa3", NAMES),
        "be6559b7bbe7509751f97109e6659f9c078deaebf50edd6b11853d547d8995d9",
    ),
    (
        *("POST", "/v2/p1/sync-tasks/x%20y/events", {**HEADERS, "X-Security-Token": "tok"}),
        *(b'{"object_keys": ["a%2Fb"]}', "AK1", "sk-AK1"),
        *("b229650e329d449bd3d0f3feee14603257646495dd03219f159fbafe5cdd502b", NAMES + ";x-security-token"),
        "ac3770c7e0e405482fc5ffc11371a3d0f6f582219d8413adf0cc1b74964d27ea",
    ),
    (
        *("POST", f"/v2/{PID}/notifications/topics/urn:smn:cn-north-4:{PID}:OMS/publish"),
        {
            "Content-Type": "application/json",
            "Host": "smn.cn-north-4.myhuaweicloud.com",
            "X-Project-Id": PID,
            "X-Sdk-Date": "20231114T221320Z",
        },
        *(b'{"subject":"OMS","message":"done"}', "MY_ACCESS_KEY", "MY_SECRET_KEY"),
        *("66cd5dab63706ee636c757c9f3f5380ab32a02962f57c0103700109368ede847", NAMES),
        "345e3bb4b85b75560e4dabd7d07c67a746e1ce4e2b439e6758f407815c480c9a",
    ),
    (
        *("GET", f"/v2/{PID}/objectstorage/task?limit=10&offset=0&status=a%20b"),
        {"Host": "smn.cn-north-4.myhuaweicloud.com", "X-Sdk-Date": "20231114T221320Z"},
        *(b"", "MY_ACCESS_KEY", "MY_SECRET_KEY"),
        *("9be92e09df4374d81c00d3d605c63ae39f522f4d2923b69a0bcd9d2cf14290a5", "host;x-sdk-date"),
        "26dbd05f13be9df341564f922bd05c3dd05030a05d9289e460ef5afcfa7e5608",
    ),
]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "access_key", "secret_key", "canonical", "names", "wanted"),
    VECTORS,
)
def test_the_vectors_of_the_sdk_are_good(
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
    canonical: str,
    names: str,
    wanted: str,
) -> None:
    signed = request(method, target, headers, body, authorization=authorization(access_key, names, wanted))
    (path, *_) = signature.canonical_paths(signed.raw_path)
    text = signature.canonical_request(signed, tuple(names.split(";")), path, signature.body_hash(signed))
    assert hashlib.sha256(text).hexdigest() == canonical
    assert is_good(signed, secret_key)
    assert not is_good(signed, secret_key + "x")


def signed_by_sdk(
    method: str,
    path: str,
    query: list[tuple[str, object]],
    headers: dict[str, str],
    body: bytes,
    secret_key: str = "SK",
) -> SignedRequest:
    """What the published client would send: signed by its signer, with the target it makes."""
    sdk = SdkRequest(
        method=method,
        schema="http",
        host="127.0.0.1:8080",
        resource_path=path,
        query_params=query,
        header_params=dict(headers),
        body=body,
    )
    Signer(SimpleNamespace(ak="AK", sk=secret_key)).sign(sdk)
    # Header values leave as Latin-1 characters that stand for UTF-8 bytes; a server decodes the bytes.
    pairs = tuple(
        (name, value.encode("latin-1").decode("utf-8", "surrogateescape"))
        for name, value in sdk.header_params.items()
    )
    target, _, raw_query = sdk.uri.partition("?")
    return SignedRequest(method, target, raw_query, pairs, body)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
# A slash inside a segment is the one thing we read otherwise than the SDK: see the module.
SEGMENT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/"), min_size=1, max_size=12)
VALUE = st.one_of(TEXT, st.integers(0, 10**12), st.booleans())
HEADER = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.lists(SEGMENT, min_size=1, max_size=4),
    st.lists(st.tuples(SEGMENT, VALUE), max_size=4, unique_by=lambda pair: pair[0]),
    HEADER,
    st.binary(max_size=40),
)
def test_whatever_the_sdk_signs_is_good(
    method: str, segments: list[str], query: list[tuple[str, object]], header: str, body: bytes
) -> None:
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    signed = signed_by_sdk(method, path, query, {"Content-Type": "application/json", "X-Other": header}, body)
    assert is_good(signed, "SK")
    assert not is_good(signed, "sk")


def test_node_encodes_the_encoded_path_again_and_is_good() -> None:
    unsigned = request("GET", "/v2/%7Bproject_id%7D/tasks?task_name=a%20b*(%C3%A9)!'", HEADERS)
    names = tuple(NAMES.split(";"))
    path = "/v2/%257Bproject_id%257D/tasks/"
    value = signature.signature_of(unsigned, names, path, hashlib.sha256(b"").hexdigest(), DATE, "SK")
    headers = (*unsigned.headers, ("Authorization", authorization("AK", NAMES, value)))
    assert is_good(replace(unsigned, headers=headers), "SK")
    assert signature.canonical_query(unsigned.raw_query) == "task_name=a%20b%2A%28%C3%A9%29%21%27"


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=1&a=2"),
        ("flag", "flag="),
        ("a=1+1", "a=1%2B1"),
        ("a=b=c", "a=b%3Dc"),
        ("data_type=REQUEST%2CSIZE", "data_type=REQUEST%2CSIZE"),
        ("a=%ff%2f", "a=%FF%2F"),
    ],
)
def test_queries_have_one_form(raw: str, canonical: str) -> None:
    assert signature.canonical_query(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/", ("/",)),
        ("/v2/p/tasks", ("/v2/p/tasks/",)),
        ("/a%2fb", ("/a%2Fb/", "/a%252fb/")),
        ("/~.-_:", ("/~.-_%3A/",)),
    ],
)
def test_paths_have_the_forms_that_clients_sign(raw: str, canonical: tuple[str, ...]) -> None:
    assert signature.canonical_paths(raw) == canonical


def example() -> SignedRequest:
    headers = {"Content-Type": "application/json", "X-Project-Id": "p1", "X-Security-Token": "tok"}
    return signed_by_sdk(
        "POST", "/v2/p1/sync-tasks/x%20y/events", [("limit", 10), ("b", "a b")], headers, b'{"a": ["b/c"]}'
    )


def flipped(data: bytes) -> list[bytes]:
    """The data with each of its bits flipped, one at a time."""
    return [
        data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
        for at in range(len(data))
        for bit in range(8)
    ]


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def test_a_flipped_bit_anywhere_is_refused() -> None:
    signed = example()
    assert is_good(signed, "SK")
    tried = 0
    changed = [replace(signed, method=text(data)) for data in flipped(signed.method.encode())]
    changed += [replace(signed, raw_path=text(data)) for data in flipped(signed.raw_path.encode())]
    changed += [replace(signed, raw_query=text(data)) for data in flipped(signed.raw_query.encode())]
    changed += [replace(signed, body=data) for data in flipped(signed.body)]
    for at, (name, value) in enumerate(signed.headers):
        for data in flipped(value.encode()):
            pairs = (*signed.headers[:at], (name, text(data)), *signed.headers[at + 1 :])
            changed.append(replace(signed, headers=pairs))
    for other in changed:
        if means_the_same(other, signed):
            continue
        tried += 1
        claim_is_another = "Access=AK," not in dict(other.headers)["Authorization"]
        # Another AK has another SK: the verifier looks it up by what the claim says.
        assert claim_is_another or not is_good(other, "SK"), other
    assert tried > 2000


def means_the_same(one: SignedRequest, other: SignedRequest) -> bool:
    """Do they differ only in how they are written? Methods are compared in upper case, %2f is %2F."""
    return (
        one.method.upper() == other.method
        and signature.canonical_paths(one.raw_path)[0] == signature.canonical_paths(other.raw_path)[0]
        and signature.canonical_query(one.raw_query) == signature.canonical_query(other.raw_query)
        and one.headers == other.headers
        and one.body == other.body
    )


def with_headers(signed: SignedRequest, **changes: str | None) -> SignedRequest:
    """Headers by name in lower case, _ for -; None takes it away."""
    wanted = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = [pair for pair in signed.headers if pair[0].lower() not in wanted]
    added = [(name, value) for name, value in wanted.items() if value is not None]
    return replace(signed, headers=(*kept, *added))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"authorization": None}, "wanted is Authorization: SDK-HMAC-SHA256"),
        ({"authorization": "Basic YTpi"}, "only SDK-HMAC-SHA256 signatures are taken"),
        (
            {"authorization": "V11-HMAC-SHA256 Credential=AK/d/r/s"},
            "only SDK-HMAC-SHA256 signatures are taken",
        ),
        ({"authorization": "SDK-HMAC-SHA256 Access=AK"}, "wanted is Authorization"),
        ({"x_sdk_date": "2026-01-02T03:04:05Z"}, "must be YYYYMMDDTHHMMSSZ"),
        ({"x_sdk_date": "20261302T030405Z"}, "is no date"),
        ({"authorization": authorization("AK", "x-sdk-date", "0" * 64)}, "the header host must be signed"),
        ({"authorization": authorization("AK", "host", "0" * 64)}, "the header x-sdk-date must be signed"),
        ({"authorization": authorization("AK", "host;x-sdk-date", "0" * 64)}, "x-project-id must be signed"),
        ({"authorization": authorization("AK", "host;host;x-sdk-date", "0" * 64)}, "names a header twice"),
    ],
)
def test_what_is_wrong_with_the_headers_is_said(changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        signature.claim_of(with_headers(example(), **changes))
    assert (caught.value.code, caught.value.refusal) == ("OMS.1005", Refusal.UNAUTHENTICATED)


def test_a_header_that_is_there_twice_is_refused() -> None:
    signed = example()
    doubled = replace(signed, headers=(*signed.headers, ("HOST", "127.0.0.1:8080")))
    assert is_good(signed, "SK")
    assert not is_good(doubled, "SK")


def test_a_body_that_was_not_signed_is_refused() -> None:
    sdk = signed_by_sdk("POST", "/v2/p1/tasks", [], {"Content-Type": "text/plain"}, b"anything")
    assert dict(sdk.headers)["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    assert not is_good(sdk, "SK")
