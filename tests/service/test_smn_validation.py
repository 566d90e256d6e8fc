"""Which smn_config is taken, and which is refused with what code and name."""

from __future__ import annotations

from typing import Any

import pytest

from omsd.domain.errors import RequestError
from omsd.domain.model import CloudType
from omsd.domain.notices import NoticeLanguage, SmnConfig, Trigger
from omsd.service import requests
from omsd.service.locations import ValidationPolicy
from omsd.service.notice_topics import NoticeTopics, SmnService, WebhookTopic, notice_topics
from omsd.service.validation import validate_create
from tests.service.validation_requests import create

SMN_URN = "urn:smn:eu-de:smnproject:storage"
HOOK_URN = "urn:smn:local:0:team"
BOTH = (Trigger.SUCCESS, Trigger.FAILURE)
TOPICS = notice_topics(
    [
        SmnService("eu-de", "smnproject", topics=frozenset({"storage"})),
        SmnService("eu-nl", "smnproject", projects=frozenset({"theirs"})),
    ],
    [WebhookTopic(HOOK_URN), WebhookTopic("urn:smn:local:0:theirs", frozenset({"theirs"}))],
)


def made(
    wanted: dict[str, Any], topics: NoticeTopics = TOPICS, project: str = "mine", **changes: Any
) -> SmnConfig | None:
    smn = requests.SmnConfig(**({"topic_urn": HOOK_URN, "trigger_conditions": ("SUCCESS",)} | wanted))
    request = create(smn_config=smn, **changes)
    return validate_create(request, ValidationPolicy(notices=topics), project_id=project).spec.smn


def refused(
    wanted: dict[str, Any], topics: NoticeTopics = TOPICS, project: str = "mine", **changes: Any
) -> tuple[str, str, str]:
    with pytest.raises(RequestError) as caught:
        made(wanted, topics, project, **changes)
    (violation,) = caught.value.violations
    return caught.value.code, violation.field, violation.description


def test_without_the_wish_nobody_is_told() -> None:
    assert validate_create(create(), ValidationPolicy(notices=TOPICS)).spec.smn is None


@pytest.mark.parametrize(
    ("conditions", "triggers"),
    [
        (("SUCCESS",), (Trigger.SUCCESS,)),
        (("FAILURE",), (Trigger.FAILURE,)),
        (("fail",), (Trigger.FAILURE,)),
        (("FAIL", "Success"), BOTH),
        (("FAIL", "FAILURE"), (Trigger.FAILURE,)),
    ],
)
def test_the_ends_in_each_spelling(conditions: tuple[str, ...], triggers: tuple[Trigger, ...]) -> None:
    assert made({"trigger_conditions": conditions}) == SmnConfig(HOOK_URN, triggers)


def test_language_and_template_are_kept() -> None:
    found = made({"language": "ZH-cn", "message_template_name": "oms_end"})
    assert found == SmnConfig(HOOK_URN, (Trigger.SUCCESS,), NoticeLanguage.ZH_CN, "oms_end")


@pytest.mark.parametrize(
    ("wanted", "code", "field"),
    [
        ({"topic_urn": None}, "OMS.1004", "smn_config.topic_urn"),
        ({"topic_urn": ""}, "OMS.1004", "smn_config.topic_urn"),
        ({"topic_urn": "storage"}, "OMS.0169", "smn_config.topic_urn"),
        ({"trigger_conditions": ()}, "OMS.1004", "smn_config.trigger_conditions"),
        ({"trigger_conditions": ("ALWAYS",)}, "OMS.1003", "smn_config.trigger_conditions[0]"),
        ({"trigger_conditions": ("FAIL", "")}, "OMS.1003", "smn_config.trigger_conditions[1]"),
        ({"trigger_conditions": ("FAIL",) * 3}, "OMS.1003", "smn_config.trigger_conditions"),
        ({"language": "de-de"}, "OMS.1003", "smn_config.language"),
        ({"message_template_name": "a b"}, "OMS.1003", "smn_config.message_template_name"),
        ({"message_template_name": "a" * 256}, "OMS.1003", "smn_config.message_template_name"),
    ],
)
def test_a_wrong_field_is_named(wanted: dict[str, Any], code: str, field: str) -> None:
    assert refused(wanted)[:2] == (code, field)


def test_a_urn_too_long_is_first_of_all_too_long() -> None:
    with pytest.raises(RequestError) as caught:
        made({"topic_urn": "urn:smn:" + "r" * 1024})
    assert caught.value.code == "OMS.1003"


def test_a_topic_of_a_configured_smn_is_taken_and_others_are_refused() -> None:
    assert made({"topic_urn": SMN_URN}) == SmnConfig(SMN_URN, (Trigger.SUCCESS,))
    code, _, said = refused({"topic_urn": "urn:smn:eu-de:another:storage"})
    assert (code, said) == (
        "OMS.0169",
        "must be a topic of the SMN project that is configured for its region",
    )
    assert refused({"topic_urn": "urn:smn:eu-de:smnproject:other"})[0] == "OMS.0169"
    code, _, said = refused({"topic_urn": "urn:smn:mars:smnproject:storage"})
    assert (code, said) == ("OMS.0168", "must be in a region whose SMN is configured here: eu-de, eu-nl")


def test_only_the_projects_that_are_named_may_use_a_topic() -> None:
    for urn in ("urn:smn:local:0:theirs", "urn:smn:eu-nl:smnproject:any"):
        assert made({"topic_urn": urn}, project="theirs") is not None
        code, _, said = refused({"topic_urn": urn})
        assert code == "OMS.0169"
        assert "this project may use" in said


def test_without_keys_for_smn_a_wish_is_refused_clearly() -> None:
    code, field, said = refused({"topic_urn": SMN_URN}, NoticeTopics())
    assert (code, field) == ("OMS.0169", "smn_config.topic_urn")
    assert "no keys for SMN are configured" in said


def test_the_topic_of_a_task_into_huawei_cloud_is_in_its_region() -> None:
    huawei = {
        "dst_node__cloud_type": CloudType.HUAWEI.value,
        "dst_node__endpoint": "https://obs.example.com",
    }
    assert made({"topic_urn": SMN_URN}, dst_node__region="eu-de", **huawei) is not None
    code, _, said = refused({"topic_urn": SMN_URN}, dst_node__region="eu-nl", **huawei)
    assert (code, said) == ("OMS.0168", "must be in the destination's region, eu-nl")
    # The operator vouches for a webhook, wherever its name is said to be.
    assert made({"topic_urn": HOOK_URN}, dst_node__region="eu-nl", **huawei) is not None
