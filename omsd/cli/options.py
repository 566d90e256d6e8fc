"""Options that several commands share, in groups: a command that takes a group has an option for each of its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from omsd.domain.model import CloudType, ConsistencyCheck, OverwriteMode, StoragePolicy
from omsd.domain.notices import NoticeLanguage

KEYS_HELP = (
    "Keys come from OMSCTL_SRC_AK, OMSCTL_SRC_SK, OMSCTL_SRC_TOKEN and OMSCTL_DST_AK, OMSCTL_DST_SK, OMSCTL_DST_TOKEN, "
    "else from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, else from a hidden prompt; never from arguments."
)
BUCKET_CLOUDS = ", ".join(cloud.value for cloud in CloudType if cloud is not CloudType.URL_SOURCE)

WindowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        metavar="HH:MM-HH:MM=RATE",
        help="Limit in a daily window, like 08:00-18:00=20MB. Repeatable.",
    ),
]
NoWindowsOption = Annotated[bool, typer.Option("--none", help="Remove all limits.")]
OffsetOption = Annotated[int, typer.Option(help="How many of the newest to leave out.")]


def _cloud(end: str) -> Any:
    return typer.Option(
        help=f"Cloud of the {end}; AWS for any S3-compatible service. One of {BUCKET_CLOUDS}."
    )


def _region(end: str) -> Any:
    return typer.Option(help=f"Region of the {end}.")


def _endpoint(end: str) -> Any:
    return typer.Option(help=f"URL of the {end}'s service, instead of the region's own.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Source and destination of what is created."""

    src: Annotated[str, typer.Argument(metavar="SRC", help="s3://bucket, or s3://bucket/prefix of the keys.")]
    dst: Annotated[
        str, typer.Argument(metavar="DST", help="s3://bucket; a prefix goes in front of each key.")
    ]
    src_cloud: Annotated[str, _cloud("source")] = CloudType.AWS
    src_region: Annotated[str | None, _region("source")] = None
    src_endpoint: Annotated[str | None, _endpoint("source")] = None
    src_app_id: Annotated[str | None, typer.Option(help="APPID of a Tencent source.")] = None
    dst_cloud: Annotated[str, _cloud("destination")] = CloudType.AWS
    dst_region: Annotated[str | None, _region("destination")] = None
    dst_endpoint: Annotated[str | None, _endpoint("destination")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """How objects are copied, by tasks, groups and synchronization tasks alike."""

    description: Annotated[str | None, typer.Option(help="At most 255 characters.")] = None
    overwrite: Annotated[
        OverwriteMode, typer.Option(case_sensitive=False, help="When an object that exists is replaced.")
    ] = OverwriteMode.SIZE_LAST_MODIFIED
    check: Annotated[
        ConsistencyCheck, typer.Option(case_sensitive=False, help="How the result is checked.")
    ] = ConsistencyCheck.SIZE_LAST_MODIFIED
    storage: Annotated[
        StoragePolicy, typer.Option(case_sensitive=False, help="Storage class at the destination.")
    ] = StoragePolicy.STANDARD
    metadata: Annotated[bool, typer.Option("--metadata", help="Migrate metadata, not only Content-Type.")] = (
        False
    )
    restore: Annotated[bool, typer.Option("--restore", help="Restore archived objects first.")] = False
    kms: Annotated[bool, typer.Option("--kms", help="Encrypt with KMS at the destination.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationOptions(CopyOptions):
    """What tasks and groups can do besides: they list their source, and end."""

    since: Annotated[
        str | None, typer.Option(help="Only objects changed since: Unix seconds or 2026-01-31T12:00.")
    ] = None
    window: WindowOption = None
    record_failed: Annotated[bool, typer.Option(help="Record failed objects, to be retried alone.")] = True
    requester_pays: Annotated[
        bool, typer.Option("--requester-pays", help="Pay for the source's traffic.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeOptions:
    """Who is told of the end of a task or group."""

    notify_topic: Annotated[
        str | None,
        typer.Option(
            metavar="URN", help="Tell this topic of the end: urn:smn:<region>:<project_id>:<topic_name>."
        ),
    ] = None
    notify_on: Annotated[
        str, typer.Option(metavar="ENDS", help="Which ends: success, failure or success,failure.")
    ] = "success,failure"
    notify_language: Annotated[
        NoticeLanguage, typer.Option(case_sensitive=False, help="Language of the message.")
    ] = NoticeLanguage.EN_US
    notify_template: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send by this message template of the topic's service.")
    ] = None
