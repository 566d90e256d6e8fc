"""A notice in words: short, in the caller's language, times in the configured zone."""

from __future__ import annotations

from datetime import datetime, tzinfo

from omsd.domain.notice_words import WORDS, Words
from omsd.domain.notices import Notice, NoticeFacts, NoticeMessage

# Of SMN: a mail's subject, and the value of a template's variable.
MAX_SUBJECT_BYTES = 512
MAX_TAG_BYTES = 1024

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def compose(notice: Notice, zone: tzinfo) -> NoticeMessage:
    """The notice in its language; every length that SMN limits is kept."""
    words = WORDS[notice.config.language]
    facts = notice.facts
    kind = words.kinds[notice.owner.kind]
    result = words.succeeded if facts.succeeded else words.failed
    subject = words.subject.format(kind=kind, result=result, name=facts.name)
    return NoticeMessage(
        subject=cut_utf8(subject, MAX_SUBJECT_BYTES),
        text=_text(facts, words, words.headline.format(kind=kind, result=result, name=facts.name), zone),
        tags=_tags(facts, result, zone),
    )


def cut_utf8(text: str, limit_bytes: int) -> str:
    """The text in at most so many bytes of UTF-8; dots show that something was left out."""
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    return data[: limit_bytes - 3].decode(errors="ignore") + "..."


def _text(facts: NoticeFacts, words: Words, headline: str, zone: tzinfo) -> str:
    error = f"{facts.error_code} {facts.error_message}".strip()
    advice = words.advice.get(facts.error_code, words.advice[""]) if error else ""
    list_file = f"{facts.list_file_bucket}/{facts.list_file_key}" if facts.list_file_key else ""
    told = {
        "result": words.succeeded if facts.succeeded else words.failed,
        "error": error,
        "advice": advice,
        "objects": words.objects.format(
            listed=facts.listed_num,
            successful=facts.successful_num,
            skipped=facts.skipped_num,
            failed=facts.failed_num,
        ),
        "started": _time(facts.started_ms, zone),
        "used": _duration(facts.active_ms),
        "data": _size(facts.moved_size_bytes),
        "speed": _size(facts.bytes_per_s) + "/s",
        "source": facts.source_bucket,
        "destination": facts.destination_bucket,
        "list_file": list_file,
        "success_list": facts.success_list,
        "skip_list": facts.skip_list,
        "failed_list": facts.failed_list,
    }
    lines = [words.lines[name] + value for name, value in told.items() if value]
    return "\n".join([headline, "", *lines])


def _tags(facts: NoticeFacts, result: str, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    """Source: API reference, SmnConfig, message_template_name."""
    tags = {
        "Task_Status": result,
        "Task_Name": facts.name,
        "Start_Time": _time(facts.started_ms, zone),
        "Total_Time_Used": _duration(facts.active_ms),
        "Transferred_Data": _size(facts.moved_size_bytes),
        "Average_Speed": _size(facts.bytes_per_s) + "/s",
        "Source_Bucket": facts.source_bucket,
        "Destination_Bucket": facts.destination_bucket,
        "List_File_Bucket": facts.list_file_bucket,
        "List_File_Key": facts.list_file_key,
        "Success_object_list_path": facts.success_list,
        "Skip_object_list_path": facts.skip_list,
        "Failed_object_list_path": facts.failed_list,
    }
    return tuple((name, cut_utf8(value, MAX_TAG_BYTES)) for name, value in tags.items())


def _time(time_ms: int, zone: tzinfo) -> str:
    """`2026-01-31 12:00:00 +0100`; "" if it never began."""
    if not time_ms:
        return ""
    return f"{datetime.fromtimestamp(time_ms // 1000, zone):%Y-%m-%d %H:%M:%S %z}"


def _duration(duration_ms: int) -> str:
    """`1h02m03s`: no words, so that it needs no language."""
    minutes, seconds = divmod(duration_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m{seconds:02}s"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def _size(size_bytes: float) -> str:
    unit = 0
    while size_bytes >= 1024 and unit < len(_UNITS) - 1:
        size_bytes /= 1024
        unit += 1
    return f"{size_bytes:.0f} B" if unit == 0 else f"{size_bytes:.1f} {_UNITS[unit]}"
