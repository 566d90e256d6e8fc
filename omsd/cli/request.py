"""From words of the command line to messages: locations, windows, points in time, keys of both ends."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from omsd.cli.options import CopyOptions, Ends, MigrationOptions, NoticeOptions
from omsd.cli.session import UsageError, secret_from
from omsd.pb.v1 import task_pb2, types_pb2

_WINDOW = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)=(\d+(?:\.\d+)?)\s*([kKmMgG]i?)?[bB]?(?:/s)?")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@dataclass(frozen=True, slots=True)
class Keys:
    """AK, SK and security token of one end."""

    access_key: str
    secret_key: str
    security_token: str


def keys_from_environment(side: str) -> Keys:
    """Keys of SRC or DST: OMSCTL_<side>_AK, _SK, _TOKEN, else those of AWS_*, else a hidden prompt.

    A token is only taken from where the access key came from: keys and tokens of two accounts never mix.
    """
    own = bool(os.environ.get(f"OMSCTL_{side}_AK"))
    shared = not own and bool(os.environ.get("AWS_ACCESS_KEY_ID"))
    end = "source" if side == "SRC" else "destination"
    access_key = secret_from((f"OMSCTL_{side}_AK", "AWS_ACCESS_KEY_ID"), f"{end} access key (AK)")
    secret_names = ("AWS_SECRET_ACCESS_KEY",) if shared else (f"OMSCTL_{side}_SK",)
    secret_key = secret_from(secret_names, f"{end} secret key (SK)")
    token = os.environ.get("AWS_SESSION_TOKEN" if shared else f"OMSCTL_{side}_TOKEN", "")
    return Keys(access_key, secret_key, token)


def split_location(text: str) -> tuple[str, str]:
    """Bucket and prefix of s3://bucket/prefix. Raises UsageError if it is not one."""
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket:
        raise UsageError(f"{text!r} is not a location: write s3://bucket or s3://bucket/prefix")
    return bucket, prefix


def windows_from(texts: Sequence[str]) -> list[types_pb2.BandwidthPolicy]:
    """`08:00-18:00=20MB` as a bandwidth window. Raises UsageError if one cannot be read."""
    windows = []
    for text in texts:
        found = _WINDOW.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"--window {text!r}: write hh:mm-hh:mm=RATE, like 08:00-18:00=20MB (per second)")
        start, end, number, unit = found.groups(default="")
        rate = round(float(number) * _FACTORS[unit.lower()])
        windows.append(types_pb2.BandwidthPolicy(start=start, end=end, max_bandwidth=rate))
    return windows


def new_windows(texts: Sequence[str] | None, *, none: bool) -> list[types_pb2.BandwidthPolicy]:
    """The windows that replace those of a task or group. Raises UsageError unless either windows or --none were written."""
    if bool(texts) is none:
        raise UsageError("write --window (again for each one), or --none")
    return windows_from(texts or ())


def seconds_from(text: str) -> int:
    """Unix seconds, or an ISO date or time (local unless it has an offset). Raises UsageError otherwise."""
    if text.isdecimal():
        return int(text)
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError as error:
        raise UsageError(
            f"--since {text!r}: write Unix seconds or a time like 2026-01-31T12:00:00"
        ) from error


@dataclass(frozen=True, slots=True)
class Node:
    """One end as the command line names it; None = the server's default."""

    location: str
    cloud_type: str | None = None
    region: str | None = None
    endpoint: str | None = None
    app_id: str | None = None


def source_node(
    node: Node, names: Sequence[str], keys: Keys, list_file: str | None = None
) -> task_pb2.SrcNodeReq:
    """The source. names: object names instead of the location's prefix; list_file: where they are written."""
    bucket, prefix = split_location(node.location)
    if names and list_file:
        raise UsageError("write --key or --list-file, not both")
    if (names or list_file) and prefix:
        option = "--key" if names else "--list-file"
        raise UsageError(f"with {option} write the source as s3://{bucket} and each key in full")
    message = task_pb2.SrcNodeReq(bucket=bucket)
    if list_file:
        list_bucket, list_key = split_location(list_file)
        if not list_key:
            raise UsageError(f"--list-file {list_file!r}: write s3://bucket/file.txt or s3://bucket/folder/")
        message.list_file.obs_bucket, message.list_file.list_file_key = list_bucket, list_key
    else:
        message.object_key.extend(names or [prefix])
    _fill(message, node, keys)
    if node.app_id is not None:
        message.app_id = node.app_id
    return message


def destination_node(node: Node, keys: Keys) -> task_pb2.DstNodeReq:
    """The destination; the location's prefix goes in front of each key."""
    bucket, prefix = split_location(node.location)
    message = task_pb2.DstNodeReq(bucket=bucket)
    if prefix:
        message.save_prefix = prefix
    _fill(message, node, keys)
    return message


def nodes_of(ends: Ends) -> tuple[Node, Node]:
    """Source and destination. Raises UsageError if a location cannot be read."""
    source = Node(ends.src, ends.src_cloud, ends.src_region, ends.src_endpoint, ends.src_app_id)
    destination = Node(ends.dst, ends.dst_cloud, ends.dst_region, ends.dst_endpoint)
    for node in (source, destination):
        split_location(node.location)
    return source, destination


def fill_copy_options(message: Any, options: CopyOptions) -> None:
    """How objects are copied; what was not asked for stays unset."""
    message.object_overwrite_mode = types_pb2.ObjectOverwriteMode.Value(
        f"OBJECT_OVERWRITE_MODE_{options.overwrite}"
    )
    message.consistency_check = types_pb2.ConsistencyCheck.Value(f"CONSISTENCY_CHECK_{options.check.upper()}")
    message.dst_storage_policy = types_pb2.DstStoragePolicy.Value(f"DST_STORAGE_POLICY_{options.storage}")
    message.enable_metadata_migration = options.metadata
    if options.description is not None:
        message.description = options.description
    if options.restore:
        message.enable_restore = True
    if options.kms:
        message.enable_kms = True


def fill_migration_options(message: Any, options: MigrationOptions) -> None:
    """How a task or group migrates. Raises UsageError if a window or a time cannot be read."""
    fill_copy_options(message, options)
    message.enable_failed_object_recording = options.record_failed
    message.bandwidth_policy.extend(windows_from(options.window or ()))
    if options.requester_pays:
        message.enable_requester_pays = True
    if options.since is not None:
        message.migrate_since = seconds_from(options.since)


def fill_smn_config(message: Any, notice: NoticeOptions) -> None:
    """Who is told of which ends of what is created. Raises UsageError if that cannot be read."""
    if notice.notify_topic is None:
        if notice.notify_template is not None:
            raise UsageError("--notify-template: write --notify-topic as well")
        return
    triggers = [end.strip().upper() for end in notice.notify_on.split(",") if end.strip()]
    if not triggers or not set(triggers) <= {"SUCCESS", "FAILURE", "FAIL"}:
        raise UsageError(f"--notify-on {notice.notify_on!r}: write success, failure or success,failure")
    message.smn_config.CopyFrom(
        types_pb2.SmnConfig(
            topic_urn=notice.notify_topic,
            trigger_conditions=triggers,
            language=notice.notify_language,
            message_template_name=notice.notify_template or "",
        )
    )


def fill_keys_from_environment(message: Any) -> None:
    """The keys of both ends as the calls that start something want them."""
    for end in ("src", "dst"):
        keys = keys_from_environment(end.upper())
        setattr(message, f"{end}_ak", keys.access_key)
        setattr(message, f"{end}_sk", keys.secret_key)
        if keys.security_token:
            setattr(message, f"{end}_security_token", keys.security_token)


def _fill(message: Any, node: Node, keys: Keys) -> None:
    message.ak, message.sk = keys.access_key, keys.secret_key
    if keys.security_token:
        message.security_token = keys.security_token
    for name in ("cloud_type", "region", "endpoint"):
        value = getattr(node, name)
        if value is not None:
            setattr(message, name, value)
