"""SMN: a message published to a topic. Source: SMN API, PublishMessage."""

from __future__ import annotations

import json

from omsd.domain.notices import Notice, NoticeMessage, parse_topic
from omsd.drivers.notify.exchange import SMN_TROUBLE, place_of, post
from omsd.drivers.notify.signing import authorization, sdk_date
from omsd.drivers.notify.targets import SmnTarget, read_secret
from omsd.ports.notices import DeliveryError
from omsd.wire import Pool


async def publish(
    pool: Pool, target: SmnTarget, notice: Notice, message: NoticeMessage, now_s: float
) -> None:
    """SMN has taken the message. Raises DeliveryError."""
    topic = parse_topic(notice.config.topic_urn)
    path = f"/v2/{target.project_id}/notifications/topics/{topic.urn}/publish"
    place = place_of(target.url.rstrip("/") + path)
    body = publish_body(notice, message)
    headers = {
        "Host": place.host,
        "Content-Type": "application/json;charset=UTF-8",
        "X-Project-Id": target.project_id,
    }
    if target.token_file is not None:
        headers["X-Auth-Token"] = await read_secret(target.token_file)
    elif target.secret_file is not None:
        headers["X-Sdk-Date"] = sdk_date(now_s)
        headers["Authorization"] = authorization(
            "POST",
            place.path,
            headers,
            body,
            access_key=target.access_key,
            secret_key=await read_secret(target.secret_file),
        )
    _check_answer(await post(pool, place, headers, body))


def publish_body(notice: Notice, message: NoticeMessage) -> bytes:
    """A text of ours, or the name of a template and what goes into it; never both: SMN would drop the text.

    Two of the documented variables are longer than the 21 characters that SMN's model allows for a name. They are sent all the same,
    under the names that templates written for this service use.
    """
    config = notice.config
    wanted: dict[str, object] = {"subject": message.subject, "locale": config.language.value}
    if config.template_name:
        wanted |= {"message_template_name": config.template_name, "tags": dict(message.tags)}
    else:
        wanted["message"] = message.text
    return json.dumps(wanted, ensure_ascii=False, separators=(",", ":")).encode()


def _check_answer(told: bytes) -> None:
    """Something that is not SMN says 200 to anything: a proxy, a portal, a wrong URL."""
    try:
        answer = json.loads(told)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not ("message_id" in answer or "request_id" in answer):
        raise DeliveryError(
            SMN_TROUBLE,
            "the answer is none of SMN's: it has no message_id; check url of [[notify.smn]]",
            retryable=True,
        )
