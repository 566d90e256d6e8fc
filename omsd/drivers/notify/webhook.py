"""Plain webhooks: JSON that is posted and signed as Standard Webhooks are, so that receivers find a verifier for their language.

What is signed is `<webhook-id>.<webhook-timestamp>.<body>`, with HMAC-SHA256; the header is `v1,` and the base64 of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict

from omsd import __version__
from omsd.domain.notices import Notice, NoticeMessage
from omsd.drivers.notify.exchange import SYSTEM_ERROR, place_of, post
from omsd.drivers.notify.targets import WebhookTarget, read_secret, webhook_key
from omsd.ports.notices import DeliveryError
from omsd.wire import Pool


async def post_webhook(
    pool: Pool, target: WebhookTarget, notice: Notice, message: NoticeMessage, now_s: float
) -> None:
    """The receiver has answered 2xx. Raises DeliveryError."""
    place = place_of(target.url)
    body = webhook_body(notice, message)
    secret = await read_secret(target.secret_file)
    try:
        key = webhook_key(secret)
    except ValueError as error:
        text = f"the secret in {target.secret_file} cannot be used: {error}"
        raise DeliveryError(SYSTEM_ERROR, text, retryable=True) from None
    timestamp = str(int(now_s))
    headers = {
        "Host": place.host,
        "User-Agent": f"omsd/{__version__}",
        "Content-Type": "application/json",
        "webhook-id": notice.message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(key, notice.message_id, timestamp, body),
    }
    await post(pool, place, headers, body)


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of webhook-signature."""
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def webhook_body(notice: Notice, message: NoticeMessage) -> bytes:
    """The same bytes in every attempt."""
    facts = notice.facts
    owner = notice.owner
    told = {
        "type": f"{owner.kind}.{'succeeded' if facts.succeeded else 'failed'}",
        "id": owner.owner_id,
        "topic_urn": notice.config.topic_urn,
        "subject": message.subject,
        "message": message.text,
        "template": notice.config.template_name,
        "tags": dict(message.tags),
        "facts": {**asdict(facts), "bytes_per_s": facts.bytes_per_s},
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
