"""Notices: what a caller wants to be told of the end of a task, what is told, and what became of the telling.

A notice is complete in itself: it is sent from what is stored with it, whatever happens to the task afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

NoticeId = NewType("NoticeId", int)

# region, project and name as in urn:smn:<region>:<project_id>:<topic_name>. SMN's own rule for names; regions and projects likewise.
_URN = re.compile(r"urn:smn:([A-Za-z0-9-]{1,64}):([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{1,256})")
URN_WANTED = "must be a topic as urn:smn:<region>:<project_id>:<topic_name>"


class Trigger(StrEnum):
    """The end of a task that is worth a notice."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class NoticeLanguage(StrEnum):
    """In which words a notice is written."""

    EN_US = "en-us"
    ZH_CN = "zh-cn"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic URN, taken apart."""

    region: str
    project_id: str
    name: str

    @property
    def urn(self) -> str:
        """As it was written."""
        return f"urn:smn:{self.region}:{self.project_id}:{self.name}"


def parse_topic(urn: str) -> Topic:
    """Raises ValueError if it is no topic URN."""
    found = _URN.fullmatch(urn)
    if found is None:
        raise ValueError(URN_WANTED)
    return Topic(*found.groups())


@dataclass(frozen=True, slots=True)
class SmnConfig:
    """What a caller wants to be told, and where. topic_urn: one that parse_topic() takes. template_name "": a text of ours.

    Source: API reference, SmnConfig.
    """

    topic_urn: str
    triggers: tuple[Trigger, ...]
    language: NoticeLanguage = NoticeLanguage.EN_US
    template_name: str = ""

    def wants(self, *, succeeded: bool) -> bool:
        """Is such an end worth a notice?"""
        return (Trigger.SUCCESS if succeeded else Trigger.FAILURE) in self.triggers


class NoticeKind(StrEnum):
    """What a notice is about."""

    TASK = "task"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class NoticeOwner:
    """The thing a notice is about; only its latest end is shown with it."""

    kind: NoticeKind
    owner_id: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.owner_id}"


def task_owner(task_id: int) -> NoticeOwner:
    """The owner of a task's notices."""
    return NoticeOwner(NoticeKind.TASK, str(task_id))


def group_owner(group_id: str) -> NoticeOwner:
    """The owner of a task group's notices."""
    return NoticeOwner(NoticeKind.GROUP, group_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFacts:
    """What there is to tell at the end of a task or group; "" and 0 = not known, or there is none.

    Times are Unix milliseconds. moved_size_bytes: of successful objects. *_list: keys in the destination bucket; with several files the
    first. error_code, error_message: of a failure.
    """

    name: str
    succeeded: bool
    started_ms: int = 0
    ended_ms: int = 0
    active_ms: int = 0
    listed_num: int = 0
    successful_num: int = 0
    skipped_num: int = 0
    failed_num: int = 0
    moved_size_bytes: int = 0
    source_bucket: str = ""
    destination_bucket: str = ""
    list_file_bucket: str = ""
    list_file_key: str = ""
    success_list: str = ""
    skip_list: str = ""
    failed_list: str = ""
    error_code: str = ""
    error_message: str = ""

    @property
    def bytes_per_s(self) -> int:
        """The average speed while it ran, 0 if nothing was moved."""
        return self.moved_size_bytes * 1000 // self.active_ms if self.active_ms > 0 else 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One that is to be sent. notice_id: never used twice in a state directory."""

    notice_id: NoticeId
    owner: NoticeOwner
    config: SmnConfig
    facts: NoticeFacts

    @property
    def message_id(self) -> str:
        """The same in every attempt: who receives a notice twice can tell by it."""
        return f"{self.owner}-{self.notice_id}"


@dataclass(frozen=True, slots=True)
class NoticeMessage:
    """A notice in words. tags: the documented template variables, whether a template is used or not."""

    subject: str
    text: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SmnInfo:
    """What became of the latest notice of a task or group. pending: it is still tried.

    error_code "" while pending and after success. topic_name: "" once it is sent, as documented. detail: what happened, for people.
    """

    sent: bool
    pending: bool
    error_code: str
    topic_name: str
    detail: str = ""
