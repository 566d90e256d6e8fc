"""The lists of what became of each object: their lines, their names in the destination bucket, how they are cut and guarded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from urllib.parse import quote

from omsd.domain.errors import StoreErrorKind
from omsd.domain.model import ConsistencyCheck, CrcOrigin, GroupId, ListPart, Outcome, OutcomeKind, TaskId

# A list goes on in another file behind either of these.
MAX_LINES = 1_000_000
MAX_TEXT_BYTES = 512 * 1024 * 1024

# Before each block of a spool file: length of its text, and xxh3-64 of the text seeded with the block's offset in the file.
BLOCK_HEAD = Struct("!IQ")

# Codes of the API reference for a list that is not there.
NOT_RECORDED = "OMS.0303"
NOT_STORED = "OMS.0304"
REFUSED = "OMS.0307"

# Where all lists of ours are; never below save_prefix.
FOLDERS = {
    OutcomeKind.SUCCESS: "oms/success_object_lists/",
    OutcomeKind.SKIPPED: "oms/skip_object_lists/",
    OutcomeKind.FAILED: "oms/failed_object_lists/",
}
_NAMES = {OutcomeKind.SUCCESS: "success", OutcomeKind.SKIPPED: "skip", OutcomeKind.FAILED: "failed"}

COLUMNS = (
    "key",
    "size",
    "last_modified",
    "check_method",
    "check_result",
    "crc64_xz",
    "crc64_xz_from",
    "crc64_nvme",
    "crc64_nvme_from",
    "error_code",
    "message",
)
HEADER = "\t".join(COLUMNS) + "\n"

_ORIGINS = tuple(
    "+".join(
        name
        for origin, name in (
            (CrcOrigin.SOURCE, "source"),
            (CrcOrigin.STREAM, "stream"),
            (CrcOrigin.DESTINATION, "destination"),
        )
        if number & origin
    )
    for number in range(8)
)
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch
_BREAKS = str.maketrans("\t\r\n", "   ")
_REFUSALS = frozenset(
    {
        StoreErrorKind.PERMISSION,
        StoreErrorKind.UNAUTHENTICATED,
        StoreErrorKind.EXPIRED,
        StoreErrorKind.NO_SUCH_BUCKET,
        StoreErrorKind.NO_SPACE,
        StoreErrorKind.INVALID,
        StoreErrorKind.UNSUPPORTED,
        StoreErrorKind.ENCRYPTION,
        StoreErrorKind.ACCOUNT,
        StoreErrorKind.BALANCE,
    }
)


def lines_of(outcomes: Iterable[Outcome], method: ConsistencyCheck) -> str:
    """A line for each outcome, ended by a line feed; keys are URL-encoded, what is not known is empty."""
    name = method.value
    return "".join([_line(outcome, name) for outcome in outcomes])


def _line(outcome: Outcome, method: str) -> str:
    key = outcome.key
    # Most keys need no encoding, and finding that out takes a tenth of quote().
    if not _PLAIN(key):
        key = quote(key)
    time_s = outcome.last_modified_s
    modified = _time_text(int(time_s)) if time_s else ""
    xz = f"{outcome.crc64_xz:016x}" if outcome.crc64_xz >= 0 else ""
    nvme = f"{outcome.crc64_nvme:016x}" if outcome.crc64_nvme >= 0 else ""
    reason = outcome.reason.translate(_BREAKS) if outcome.reason else ""
    return (
        f"{key}\t{outcome.size_bytes}\t{modified}\t{method}\t{outcome.check.value}\t"
        f"{xz}\t{_ORIGINS[outcome.crc64_xz_from]}\t{nvme}\t{_ORIGINS[outcome.crc64_nvme_from]}\t"
        f"{outcome.error_code}\t{reason}\n"
    )


@lru_cache(maxsize=4096)
def _time_text(time_s: int) -> str:
    # Objects of one batch were mostly written within few seconds.
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def group_folder(group_id: GroupId) -> str:
    """Where the failed lists of all tasks of a group are."""
    return f"oms/task_group/{group_id}/failed_object_lists/"


def list_key(
    task_id: TaskId, round_number: int, kind: OutcomeKind, number: int, group_id: GroupId | None = None
) -> str:
    """The key of one file of a list. round_number, number: from 1, and not in the name while they are 1.

    Failed lists of a group's tasks are side by side in its folder, each under the id of its task.
    """
    name = f"{_NAMES[kind]}-objects-list"
    if round_number > 1:
        name += f"-run-{round_number}"
    if number > 1:
        name += f"-part-{number:04}"
    if group_id and kind is OutcomeKind.FAILED:
        return f"{group_folder(group_id)}{task_id}-{name}.txt"
    return f"{FOLDERS[kind]}{task_id}/{name}.txt"


def next_part(part: ListPart | None, kind: OutcomeKind, *, settled_num: int) -> ListPart:
    """The file that the next lines of a list go to: the last one, or an empty one behind it.

    settled_num: files of the list that are at the destination already, whose names must not be used again.
    """
    if part is None:
        return ListPart(kind, settled_num + 1)
    if part.lines_num >= MAX_LINES or part.text_bytes >= MAX_TEXT_BYTES:
        return ListPart(kind, part.number + 1)
    return part


def code_of(kind: StoreErrorKind) -> str:
    """The documented code for a list that a destination did not take."""
    return REFUSED if kind in _REFUSALS else NOT_STORED
