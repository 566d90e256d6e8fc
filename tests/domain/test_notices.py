"""What a notice says, in each language, and what SMN's limits leave of it."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.group import GroupNumber, GroupState, GroupSums, TaskGroup
from omsd.domain.model import (
    CloudType,
    Counters,
    GroupId,
    ListFileRef,
    ListRecords,
    Location,
    Priority,
    Task,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.domain.notice_facts import facts_of, group_facts_of
from omsd.domain.notice_text import compose, cut_utf8
from omsd.domain.notice_words import WORDS
from omsd.domain.notices import (
    Notice,
    NoticeFacts,
    NoticeId,
    NoticeLanguage,
    SmnConfig,
    Trigger,
    group_owner,
    parse_topic,
    task_owner,
)

URN = "urn:smn:eu-west-101:0123456789abcdef:storage"
BOTH = (Trigger.SUCCESS, Trigger.FAILURE)
BERLIN = ZoneInfo("Europe/Berlin")
# Source: API reference, SmnConfig, message_template_name.
DOCUMENTED_TAGS = [
    *("Task_Status", "Task_Name", "Start_Time", "Total_Time_Used", "Transferred_Data", "Average_Speed"),
    *("Source_Bucket", "Destination_Bucket", "List_File_Bucket", "List_File_Key"),
    *("Success_object_list_path", "Skip_object_list_path", "Failed_object_list_path"),
]
FAILED = NoticeFacts(
    name="photos-archive-1",
    succeeded=False,
    started_ms=1_700_000_000_000,
    ended_ms=1_700_003_723_000,
    active_ms=3_723_000,
    listed_num=10,
    successful_num=7,
    skipped_num=1,
    failed_num=2,
    moved_size_bytes=3 * 1024**3,
    source_bucket="photos",
    destination_bucket="archive",
    list_file_bucket="lists",
    list_file_key="keys.txt",
    success_list="oms/success_object_lists/1/success-objects-list.txt",
    failed_list="oms/failed_object_lists/1/failed-objects-list.txt",
    error_code="TRF.0062",
    error_message="2 of 10 objects could not be migrated",
)


def notice(facts: NoticeFacts, language: NoticeLanguage = NoticeLanguage.EN_US) -> Notice:
    return Notice(NoticeId(3), task_owner(17), SmnConfig(URN, BOTH, language), facts)


def test_a_failure_in_english_says_what_happened_and_what_to_do() -> None:
    message = compose(notice(FAILED), BERLIN)
    assert message.subject == "OMS: migration task failed: photos-archive-1"
    assert message.text.splitlines() == [
        "The migration task photos-archive-1 has failed.",
        "",
        "Result: failed",
        "Error: TRF.0062 2 of 10 objects could not be migrated",
        "What to do: look at the list of failed objects and its causes, then start the task again for the failed objects only",
        "Objects: 10 found, 7 migrated, 1 skipped, 2 failed",
        "Start time: 2023-11-14 23:13:20 +0100",
        "Time used: 1h02m03s",
        "Data transferred: 3.0 GiB",
        "Average speed: 844.9 KiB/s",
        "Source bucket: photos",
        "Destination bucket: archive",
        "Object list file: lists/keys.txt",
        "List of migrated objects: oms/success_object_lists/1/success-objects-list.txt",
        "List of failed objects: oms/failed_object_lists/1/failed-objects-list.txt",
    ]


def test_a_success_in_chinese_has_no_word_of_errors() -> None:
    facts = replace(FAILED, succeeded=True, failed_num=0, error_code="", error_message="", failed_list="")
    message = compose(notice(facts, NoticeLanguage.ZH_CN), BERLIN)
    assert message.subject == "OMS：迁移任务成功：photos-archive-1"
    lines = message.text.splitlines()
    assert lines[0] == "迁移任务 photos-archive-1 已结束，结果：成功。"
    assert "开始时间：2023-11-14 23:13:20 +0100" in lines
    assert "对象数：共 10 个，迁移成功 7 个，跳过 1 个，失败 0 个" in lines
    assert not any(line.startswith(("错误", "处理建议", "失败对象列表")) for line in lines)
    assert dict(message.tags)["Task_Status"] == "成功"


def test_a_task_that_failed_before_it_began_has_no_start_time() -> None:
    message = compose(notice(NoticeFacts(name="n", succeeded=False, error_code="TRF.9999")), BERLIN)
    assert "Start time" not in message.text
    assert "What to do: remove the cause of the error, then start it again" in message.text
    assert dict(message.tags)["Start_Time"] == ""


def test_a_group_is_called_one() -> None:
    told = replace(notice(FAILED), owner=group_owner("g-1"))
    assert compose(told, BERLIN).subject == "OMS: migration task group failed: photos-archive-1"
    assert told.message_id == "group-g-1-3"


def test_the_tags_are_the_documented_ones_in_each_language() -> None:
    for language in NoticeLanguage:
        tags = compose(notice(FAILED, language), BERLIN).tags
        assert [name for name, _ in tags] == DOCUMENTED_TAGS


def test_both_languages_have_the_same_words() -> None:
    english, chinese = WORDS[NoticeLanguage.EN_US], WORDS[NoticeLanguage.ZH_CN]
    assert english.lines.keys() == chinese.lines.keys()
    assert english.advice.keys() == chinese.advice.keys()
    assert english.kinds.keys() == chinese.kinds.keys()


@given(st.text(max_size=2000), st.sampled_from(NoticeLanguage))
def test_the_limits_of_smn_are_kept_whatever_names_are(name: str, language: NoticeLanguage) -> None:
    facts = replace(FAILED, name=name, list_file_key=name, source_bucket=name)
    message = compose(notice(facts, language), BERLIN)
    assert len(message.subject.encode(errors="replace")) <= 512
    assert all(len(value.encode(errors="replace")) <= 1024 for _, value in message.tags)


@given(st.text(), st.integers(3, 40))
def test_a_cut_text_is_a_beginning_of_it(text: str, limit: int) -> None:
    cut = cut_utf8(text, limit)
    assert len(cut.encode()) <= limit
    assert cut == text or (text.startswith(cut[:-3]) and cut.endswith("..."))


@pytest.mark.parametrize(
    "urn",
    [
        "",
        "storage",
        "urn:smn:eu-west-101:p",
        "urn:smn::p:t",
        "urn:smn:eu:p:t:more",
        "urn:smn:eu:p:a/b",
        "urn:smn:eu:p:t\n",
        "urn:sns:eu:p:t",
        "urn:smn:eu:p:" + "t" * 257,
    ],
)
def test_what_is_no_topic_is_refused(urn: str) -> None:
    with pytest.raises(ValueError, match="urn:smn:<region>"):
        parse_topic(urn)


def test_a_topic_is_taken_apart() -> None:
    topic = parse_topic(URN)
    assert (topic.region, topic.project_id, topic.name) == ("eu-west-101", "0123456789abcdef", "storage")
    assert topic.urn == URN


def test_only_the_ends_that_are_wanted_are_told() -> None:
    assert SmnConfig(URN, (Trigger.FAILURE,)).wants(succeeded=False)
    assert not SmnConfig(URN, (Trigger.FAILURE,)).wants(succeeded=True)


def test_the_facts_of_a_task_name_its_lists_that_are_stored() -> None:
    spec = TaskSpec(
        source=Location(CloudType.AWS, "us-east-1", "photos"),
        destination=Location(CloudType.AWS, "eu-west-1", "archive"),
        task_type=TaskType.LIST,
        object_keys=(),
        list_file=ListFileRef("lists", "keys.txt"),
    )
    task = Task(
        task_id=TaskId(17),
        project_id="p",
        name="photos-archive-1",
        spec=spec,
        state=TaskState.FAILED,
        priority=Priority.MEDIUM,
        windows=(),
        created_ms=1,
        started_ms=1_700_000_000_000,
        ended_ms=1_700_003_723_000,
        active_ms=3_723_000,
        error_code="TRF.0062",
        error_message="2 of 10 objects could not be migrated",
        counters=Counters(10, 0, 7, 1, 2, 3 * 1024**3, 0, 0),
        lists=ListRecords(
            round=2,
            success_parts=2,
            skipped_parts=1,
            skipped_error="OMS.0304",
            failed_key="oms/failed_object_lists/17/failed-objects-list-run-2.txt",
            failed_parts=1,
        ),
    )
    expected = replace(
        FAILED,
        success_list="oms/success_object_lists/17/success-objects-list-run-2.txt",
        skip_list="",
        failed_list="oms/failed_object_lists/17/failed-objects-list-run-2.txt",
    )
    assert facts_of(task) == expected


def test_the_facts_of_a_group_are_the_sums_of_its_tasks() -> None:
    place = Location(CloudType.AWS, "us-east-1", "photos")
    group = TaskGroup(
        group_id=GroupId("157ece42"),
        number=GroupNumber(7),
        project_id="p",
        spec=TaskSpec(
            place, replace(place, bucket="archive"), TaskType.LIST, (), list_file=ListFileRef("lists", "in/")
        ),
        state=GroupState.MIGRATION_FAILED,
        windows=(),
        created_ms=1,
        started_ms=1_700_000_000_000,
        ended_ms=1_700_003_723_000,
        active_ms=3_723_000,
        error_code="TRF.0062",
        error_message="1 of 2 tasks failed",
    )
    sums = GroupSums(counters=Counters(10, 0, 7, 1, 2, 3 * 1024**3, 0, 0), failed_lists_num=1)
    facts = group_facts_of(group, sums)
    assert facts == replace(
        FAILED,
        name="157ece42",
        list_file_key="in/",
        error_message="1 of 2 tasks failed",
        success_list="",
        skip_list="",
        failed_list="oms/task_group/157ece42/failed_object_lists/",
    )
    # That no list is stored is told by its absence.
    assert group_facts_of(group, GroupSums()).failed_list == ""
    assert group_facts_of(replace(group, state=GroupState.COMPLETED), sums).succeeded
