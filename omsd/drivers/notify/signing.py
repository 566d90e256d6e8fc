"""SDK-HMAC-SHA256, the AK/SK signature of Huawei Cloud's API gateways. Pure: time and keys are handed in.

Source: the signer of Huawei Cloud's SDK (huaweicloudsdkcore), which is the oracle in the tests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, unquote

_ALGORITHM = "SDK-HMAC-SHA256"


def sdk_date(now_s: float) -> str:
    """X-Sdk-Date of a moment."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")


def authorization(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key: str,
    secret_key: str,
    query: Sequence[tuple[str, str]] = (),
) -> str:
    """The Authorization header. path: as on the wire, without query. headers: all that are signed, Host and X-Sdk-Date among them."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    names = sorted(lower)
    signed_names = ";".join(names)
    canonical = "\n".join(
        (
            method.upper(),
            _canonical_path(path),
            "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(query)),
            *(f"{name}:{lower[name]}" for name in names),
            "",
            signed_names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{lower['x-sdk-date']}\n{digest}"
    signature = hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Access={access_key}, SignedHeaders={signed_names}, Signature={signature}"


def _canonical_path(path: str) -> str:
    """Each segment encoded anew, and a slash at the end that is not on the wire."""
    encoded = "/".join(_encode(segment) for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else encoded + "/"


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
