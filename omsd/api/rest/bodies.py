"""Bodies and queries of the V2 API as callers send them. Every field may be absent or null: what is mandatory, the services say.

Fields that a newer client sends and the reference does not know are taken: see docs/operations.md.
"""

from __future__ import annotations

import msgspec

Text = str | None
Flag = bool | None
Number = int | None
Texts = tuple[str, ...] | None


class BandwidthPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """max_bandwidth: bytes per second."""

    start: Text = None
    end: Text = None
    max_bandwidth: Number = None


class SourceCdn(msgspec.Struct, frozen=True, kw_only=True):
    domain: Text = None
    protocol: Text = None
    authentication_type: Text = None
    authentication_key: Text = None
    crypto_type: Text = None
    kms_key_id: Text = None


class SmnConfig(msgspec.Struct, frozen=True, kw_only=True):
    topic_urn: Text = None
    trigger_conditions: Texts = None
    language: Text = None
    message_template_name: Text = None


class SmnInfoV1(msgspec.Struct, frozen=True, kw_only=True):
    topic_urn: Text = msgspec.field(name="topicUrn", default=None)
    trigger_conditions: Texts = msgspec.field(name="triggerConditions", default=None)
    language: Text = None


class ListFile(msgspec.Struct, frozen=True, kw_only=True):
    list_file_key: Text = None
    obs_bucket: Text = None
    list_file_num: str | int | None = None


class SrcNode(msgspec.Struct, frozen=True, kw_only=True):
    """connection_string: of Azure, which is refused as a cloud; with other clouds it means nothing."""

    cloud_type: Text = None
    region: Text = None
    ak: Text = None
    sk: Text = None
    json_auth_file: Text = None
    security_token: Text = None
    app_id: Text = None
    bucket: Text = None
    object_key: Texts = None
    list_file: ListFile | None = None
    connection_string: Text = None
    crypto_type: Text = None
    kms_key_id: Text = None


class DstNode(msgspec.Struct, frozen=True, kw_only=True):
    ak: Text = None
    sk: Text = None
    security_token: Text = None
    bucket: Text = None
    region: Text = None
    save_prefix: Text = None
    crypto_type: Text = None
    kms_key_id: Text = None


class CreateTask(msgspec.Struct, frozen=True, kw_only=True):
    """enableKMS, auto_restore, smnInfo: names that V1 has for the same."""

    src_node: SrcNode | None = None
    dst_node: DstNode | None = None
    task_type: Text = None
    description: Text = None
    enable_kms: Flag = None
    migrate_since: Number = None
    bandwidth_policy: tuple[BandwidthPolicy, ...] | None = None
    source_cdn: SourceCdn | None = None
    smn_config: SmnConfig | None = None
    enable_metadata_migration: Flag = None
    enable_restore: Flag = None
    enable_failed_object_recording: Flag = None
    object_overwrite_mode: Text = None
    dst_storage_policy: Text = None
    consistency_check: Text = None
    enable_requester_pays: Flag = None
    task_priority: Text = None
    enable_kms_v1: Flag = msgspec.field(name="enableKMS", default=None)
    auto_restore: Flag = None
    smn_info: SmnInfoV1 | None = msgspec.field(name="smnInfo", default=None)


class StartTask(msgspec.Struct, frozen=True, kw_only=True):
    dst_ak: Text = None
    dst_sk: Text = None
    src_ak: Text = None
    src_sk: Text = None
    src_security_token: Text = None
    dst_security_token: Text = None
    json_auth_file: Text = None
    connection_string: Text = None
    source_cdn_authentication_key: Text = None
    migrate_failed_object: Flag = None
    src_crypto_type: Text = None
    src_kms_key_id: Text = None
    dst_crypto_type: Text = None
    dst_kms_key_id: Text = None
    source_cdn_crypto_type: Text = None
    source_cdn_kms_key_id: Text = None


class UpdateBandwidth(msgspec.Struct, frozen=True, kw_only=True):
    bandwidth_policy: tuple[BandwidthPolicy, ...] | None = None


class BatchUpdate(msgspec.Struct, frozen=True, kw_only=True):
    group_id: Text = None
    ids: tuple[int, ...] | None = None
    bandwidth_policy: tuple[BandwidthPolicy, ...] | None = None
    task_priority: Text = None


class ListTasksQuery(msgspec.Struct, frozen=True, kw_only=True):
    group_id: Text = None
    limit: Number = None
    offset: Number = None
    status: Number = None
    task_name: Text = None


class GroupDstNode(DstNode, frozen=True, kw_only=True):
    """cloud_type: HEC, or another name of the same cloud."""

    cloud_type: Text = None


class CreateGroup(msgspec.Struct, frozen=True, kw_only=True):
    src_node: SrcNode | None = None
    dst_node: GroupDstNode | None = None
    task_type: Text = None
    description: Text = None
    enable_kms: Flag = None
    migrate_since: Number = None
    bandwidth_policy: tuple[BandwidthPolicy, ...] | None = None
    source_cdn: SourceCdn | None = None
    smn_config: SmnConfig | None = None
    enable_metadata_migration: Flag = None
    enable_restore: Flag = None
    enable_failed_object_recording: Flag = None
    object_overwrite_mode: Text = None
    dst_storage_policy: Text = None
    consistency_check: Text = None
    enable_requester_pays: Flag = None


class StartGroup(msgspec.Struct, frozen=True, kw_only=True):
    dst_ak: Text = None
    dst_sk: Text = None
    src_ak: Text = None
    src_sk: Text = None
    src_security_token: Text = None
    dst_security_token: Text = None
    json_auth_file: Text = None
    connection_string: Text = None
    source_cdn_authentication_key: Text = None
    src_crypto_type: Text = None
    src_kms_key_id: Text = None
    dst_crypto_type: Text = None
    dst_kms_key_id: Text = None
    source_cdn_crypto_type: Text = None
    source_cdn_kms_key_id: Text = None


class RetryGroup(StartGroup, frozen=True, kw_only=True):
    """Keys that are absent: the stored ones are taken."""

    migrate_failed_object: Flag = None


class ListGroupsQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: Number = None
    offset: Number = None
    status: Number = None


class CreateSyncTask(msgspec.Struct, frozen=True, kw_only=True):
    """object_overwrite_mode: in no document; taken if sent."""

    src_cloud_type: Text = None
    src_region: Text = None
    src_bucket: Text = None
    src_ak: Text = None
    src_sk: Text = None
    dst_ak: Text = None
    dst_sk: Text = None
    dst_region: Text = None
    dst_bucket: Text = None
    description: Text = None
    enable_metadata_migration: Flag = None
    enable_kms: Flag = None
    enable_restore: Flag = None
    dst_storage_policy: Text = None
    app_id: Text = None
    source_cdn: SourceCdn | None = None
    consistency_check: Text = None
    object_overwrite_mode: Text = None
    src_security_token: Text = None
    dst_security_token: Text = None
    src_crypto_type: Text = None
    src_kms_key_id: Text = None
    dst_crypto_type: Text = None
    dst_kms_key_id: Text = None


class StartSyncTask(msgspec.Struct, frozen=True, kw_only=True):
    src_ak: Text = None
    src_sk: Text = None
    dst_ak: Text = None
    dst_sk: Text = None
    src_security_token: Text = None
    dst_security_token: Text = None
    source_cdn_authentication_key: Text = None
    src_crypto_type: Text = None
    src_kms_key_id: Text = None
    dst_crypto_type: Text = None
    dst_kms_key_id: Text = None
    source_cdn_crypto_type: Text = None
    source_cdn_kms_key_id: Text = None


class SyncEvents(msgspec.Struct, frozen=True, kw_only=True):
    object_keys: Texts = None


class ListSyncTasksQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: Number = None
    offset: Number = None
    status: Text = None


class ShowSyncTaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """query_time: Unix milliseconds; absent = now."""

    query_time: Number = None


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """data_type: separated by commas. Times in Unix milliseconds."""

    data_type: Text = None
    start_time: Number = None
    end_time: Number = None


class ListBuckets(msgspec.Struct, frozen=True, kw_only=True):
    cloud_type: Text = None
    ak: Text = None
    sk: Text = None
    json_auth_file: Text = None
    app_id: Text = None
    connection_string: Text = None


class ShowBucketObjects(ListBuckets, frozen=True, kw_only=True):
    bucket_name: Text = None
    data_center: Text = None
    file_path: Text = None
    page_size: Number = None
    behind_filename: Text = None


class PrefixKeys(msgspec.Struct, frozen=True, kw_only=True):
    keys: Texts = None


class ShowCdnInfo(ListBuckets, frozen=True, kw_only=True):
    region: Text = None
    bucket: Text = None
    source_cdn: SourceCdn | None = None
    prefix: PrefixKeys | None = None


class ShowBucketRegion(ListBuckets, frozen=True, kw_only=True):
    bucket_name: Text = None


class CheckPrefix(ListBuckets, frozen=True, kw_only=True):
    bucket_name: Text = None
    file_name: Text = None
    data_center: Text = None
    security_token: Text = None


class CheckUrlListFile(msgspec.Struct, frozen=True, kw_only=True):
    obs_bucket: Text = None
    list_file_key: Text = None
    ak: Text = None
    sk: Text = None
    region: Text = None


class CloudTypeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """type: src or dst."""

    type: str
