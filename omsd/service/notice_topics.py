"""Which topics a caller may name, and what a smn_config means: refused with OMS.0168 or OMS.0169, or what is stored with the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omsd.domain.model import CloudType, Location
from omsd.domain.notices import NoticeLanguage, SmnConfig, Topic, Trigger, parse_topic
from omsd.service.choices import LANGUAGES, TRIGGERS
from omsd.service.findings import Findings
from omsd.service.limits import MAX_TRIGGERS, SMN_LIMITS
from omsd.service.needs import SMN_NEEDS
from omsd.service.requests import SmnConfig as SmnRequest


@dataclass(frozen=True, slots=True)
class SmnService:
    """An SMN that is configured for a region. topics, projects: empty = all of smn_project_id, all of this server."""

    region: str
    smn_project_id: str
    topics: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WebhookTopic:
    """A topic that is a webhook. projects: empty = all of this server."""

    urn: str
    projects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NoticeTopics:
    """Everything that is configured."""

    services: Mapping[str, SmnService] = field(default_factory=dict)
    webhooks: Mapping[str, WebhookTopic] = field(default_factory=dict)


def notice_topics(services: Iterable[SmnService], webhooks: Iterable[WebhookTopic]) -> NoticeTopics:
    """By region, and by URN."""
    return NoticeTopics(
        {service.region: service for service in services}, {webhook.urn: webhook for webhook in webhooks}
    )


def check_smn(
    findings: Findings,
    request: SmnRequest | None,
    topics: NoticeTopics,
    *,
    project_id: str,
    destination: Location,
    at: str = "smn_config",
) -> SmnConfig | None:
    """Who is told of the end; what is wrong is among the findings. Source: API reference, SmnConfig."""
    if request is None:
        return None
    findings.check(SMN_LIMITS, request, at=at)
    findings.need(SMN_NEEDS, request, at=at)
    triggers = _triggers(findings, request, f"{at}.trigger_conditions")
    language = findings.choose(f"{at}.language", request.language, LANGUAGES, NoticeLanguage.EN_US)
    urn_field = f"{at}.topic_urn"
    urn = request.topic_urn or ""
    if urn:
        try:
            _check_topic(findings, parse_topic(urn), topics, project_id, destination, urn_field)
        except ValueError as error:
            findings.add("OMS.0169", urn_field, str(error))
    return SmnConfig(urn, triggers, language, request.message_template_name or "")


def _triggers(findings: Findings, request: SmnRequest, at: str) -> tuple[Trigger, ...]:
    chosen = [
        findings.choose(f"{at}[{place}]", text, TRIGGERS, Trigger.FAILURE)
        for place, text in enumerate((request.trigger_conditions or ())[:MAX_TRIGGERS])
    ]
    return tuple(trigger for trigger in Trigger if trigger in chosen)


def _check_topic(
    findings: Findings,
    topic: Topic,
    topics: NoticeTopics,
    project_id: str,
    destination: Location,
    at: str,
) -> None:
    """A webhook is vouched for by name; topics of SMN are in the region of a Huawei Cloud destination, and in one that is configured."""
    webhook = topics.webhooks.get(topic.urn)
    if webhook is not None:
        if webhook.projects and project_id not in webhook.projects:
            findings.add(
                "OMS.0169", at, "must be a topic that this project may use ([[notify.topic]] projects)"
            )
        return
    if destination.cloud_type is CloudType.HUAWEI and topic.region != destination.region:
        findings.add("OMS.0168", at, f"must be in the destination's region, {destination.region}")
        return
    service = topics.services.get(topic.region)
    if service is None:
        if topics.services:
            served = ", ".join(sorted(topics.services))
            findings.add("OMS.0168", at, f"must be in a region whose SMN is configured here: {served}")
        else:
            findings.add(
                "OMS.0169",
                at,
                "is not known here: no keys for SMN are configured; name it in [[notify.topic]], or its region in [[notify.smn]]",
            )
    elif topic.project_id != service.smn_project_id:
        findings.add("OMS.0169", at, "must be a topic of the SMN project that is configured for its region")
    elif service.topics and topic.name not in service.topics:
        findings.add("OMS.0169", at, "must be one of the topics that are configured for its region")
    elif service.projects and project_id not in service.projects:
        findings.add("OMS.0169", at, "must be a topic that this project may use ([[notify.smn]] projects)")
