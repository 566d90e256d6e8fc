"""The words of notices, in each language. Data only; how they are put together is in notice_text.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omsd.domain.notices import NoticeKind, NoticeLanguage


@dataclass(frozen=True, slots=True)
class Words:
    """One language. lines: label of each line of a text. advice: code -> what to do; "" = any other code."""

    kinds: Mapping[NoticeKind, str]
    succeeded: str
    failed: str
    subject: str
    headline: str
    objects: str
    lines: Mapping[str, str]
    advice: Mapping[str, str]


_ENGLISH = Words(
    kinds={NoticeKind.TASK: "migration task", NoticeKind.GROUP: "migration task group"},
    succeeded="succeeded",
    failed="failed",
    subject="OMS: {kind} {result}: {name}",
    headline="The {kind} {name} has {result}.",
    objects="{listed} found, {successful} migrated, {skipped} skipped, {failed} failed",
    lines={
        "result": "Result: ",
        "objects": "Objects: ",
        "started": "Start time: ",
        "used": "Time used: ",
        "data": "Data transferred: ",
        "speed": "Average speed: ",
        "source": "Source bucket: ",
        "destination": "Destination bucket: ",
        "list_file": "Object list file: ",
        "success_list": "List of migrated objects: ",
        "skip_list": "List of skipped objects: ",
        "failed_list": "List of failed objects: ",
        "error": "Error: ",
        "advice": "What to do: ",
    },
    advice={
        "TRF.0012": "check the object names, prefixes or the list file, and the source bucket, then start the task again",
        "TRF.0062": "look at the list of failed objects and its causes, then start the task again for the failed objects only",
        "TRF.0151": "start the task again with a valid AK/SK of the source",
        "TRF.0152": "grant the source's AK the permission to list and read, then start the task again",
        "TRF.0155": "check the name of the source bucket",
        "TRF.0156": "check that the objects are still in the source bucket, then start the task again for the failed objects only",
        "TRF.0157": "the source service had trouble; start the task again later",
        "TRF.0159": "the source throttled requests; start the task again later",
        "TRF.0160": "restore the archived objects, or create the task with enable_restore",
        "TRF.0051": "grant the destination's AK the permission to write, then start the task again",
        "TRF.0055": "free or enlarge the destination's space, then start the task again",
        "TRF.0057": "start the task again with a valid AK/SK of the destination",
        "TRF.0058": "create the destination bucket or correct its name, then start the task again",
        "TRF.0061": "the destination service had trouble; start the task again later",
        "": "remove the cause of the error, then start it again",
    },
)

_CHINESE = Words(
    kinds={NoticeKind.TASK: "迁移任务", NoticeKind.GROUP: "迁移任务组"},
    succeeded="成功",
    failed="失败",
    subject="OMS：{kind}{result}：{name}",
    headline="{kind} {name} 已结束，结果：{result}。",
    objects="共 {listed} 个，迁移成功 {successful} 个，跳过 {skipped} 个，失败 {failed} 个",
    lines={
        "result": "结果：",
        "objects": "对象数：",
        "started": "开始时间：",
        "used": "耗时：",
        "data": "迁移数据量：",
        "speed": "平均速度：",
        "source": "源端桶：",
        "destination": "目的端桶：",
        "list_file": "对象列表文件：",
        "success_list": "成功对象列表：",
        "skip_list": "跳过对象列表：",
        "failed_list": "失败对象列表：",
        "error": "错误：",
        "advice": "处理建议：",
    },
    advice={
        "TRF.0012": "请检查对象名、前缀或列表文件以及源端桶，然后重新启动任务",
        "TRF.0062": "请查看失败对象列表及其原因，然后仅对失败对象重新启动任务",
        "TRF.0151": "请使用有效的源端 AK/SK 重新启动任务",
        "TRF.0152": "请为源端 AK 授予列举和读取权限，然后重新启动任务",
        "TRF.0155": "请检查源端桶名",
        "TRF.0156": "请确认对象仍在源端桶中，然后仅对失败对象重新启动任务",
        "TRF.0157": "源端服务异常，请稍后重新启动任务",
        "TRF.0159": "源端限流，请稍后重新启动任务",
        "TRF.0160": "请先恢复归档对象，或创建任务时开启 enable_restore",
        "TRF.0051": "请为目的端 AK 授予写入权限，然后重新启动任务",
        "TRF.0055": "请扩大目的端可用空间，然后重新启动任务",
        "TRF.0057": "请使用有效的目的端 AK/SK 重新启动任务",
        "TRF.0058": "请创建目的端桶或更正桶名，然后重新启动任务",
        "TRF.0061": "目的端服务异常，请稍后重新启动任务",
        "": "请消除以上错误的原因，然后重新启动",
    },
)

WORDS = {NoticeLanguage.EN_US: _ENGLISH, NoticeLanguage.ZH_CN: _CHINESE}
