"""The object list files of a task as a caller named them."""

from __future__ import annotations

from omsd.domain.model import ListFileRef, TaskType
from omsd.service.findings import Findings
from omsd.service.limits import LIST_FILE_LIMITS
from omsd.service.locations import check_list_bucket
from omsd.service.needs import LIST_FILE_NEEDS
from omsd.service.requests import DstNode, ListFile

_FIELD = "src_node.list_file"


def check_list_file(
    findings: Findings, file: ListFile | None, destination: DstNode, task_type: TaskType
) -> ListFileRef | None:
    """Where the keys of a list task are written, None for other tasks; what is wrong with it is among the findings.

    list_file_num says nothing that the bucket does not say better: it is checked and not used.
    """
    if task_type is not TaskType.LIST or file is None:
        return None  # if that is wrong it is among the findings already
    findings.check(LIST_FILE_LIMITS, file, at=_FIELD)
    findings.need(LIST_FILE_NEEDS, file, at=_FIELD)
    if file.obs_bucket:
        check_list_bucket(findings, f"{_FIELD}.obs_bucket", file.obs_bucket, destination)
    return ListFileRef(file.obs_bucket, file.list_file_key)
