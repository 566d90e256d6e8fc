"""What is special about each S3-compatible service, as data. A new service is a profile and a contract run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from omsd.domain.model import CloudType, StoragePolicy
from omsd.ports.objectstore import Abilities, ListingOrder

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB


class Addressing(StrEnum):
    """Where the bucket's name stands: in the path, or before the host."""

    PATH = "path"
    VIRTUAL = "virtual"


class ListVersion(StrEnum):
    """Which ListObjects is spoken."""

    V1 = "v1"
    V2 = "v2"


class PayloadSigning(StrEnum):
    """What stands for the body in a signature."""

    UNSIGNED = "unsigned"
    SHA256 = (
        "sha256"  # of bodies given as bytes; a pushed body is never signed, it would have to be read twice
    )


@dataclass(frozen=True, slots=True)
class ChecksumDialect:
    """How CRC64 travels. A header name "" means: this kind is not known there.

    nvme_header: base64 of 8 bytes, big-endian. xz_header: decimal. sent: puts may carry them and are then checked on arrival.
    full_object: CompleteMultipartUpload takes the whole object's value and checks it.
    """

    nvme_header: str = ""
    xz_header: str = ""
    sent: bool = False
    full_object: bool = False


class RestoreDialect(StrEnum):
    """The element around the tier in a restore request; NONE: no such call in the S3 dialect."""

    GLACIER = "GlacierJobParameters"
    CAS = "CASJobParameters"
    JOB = "JobParameters"
    NONE = ""


# AWS, and OBS when it is spoken to in S3's way.
S3_CLASSES = (
    (StoragePolicy.IA, "STANDARD_IA"),
    (StoragePolicy.ARCHIVE, "GLACIER"),
    (StoragePolicy.DEEP_ARCHIVE, "DEEP_ARCHIVE"),
)
_STANDARD = StoragePolicy.STANDARD  # the name is looked up once, not per object
_AMZ_KMS = (("x-amz-server-side-encryption", "aws:kms"),)


@cache
def _full_names(vendor_prefix: str, names: tuple[str, ...]) -> frozenset[str]:
    """x-amz-<name> and the vendor's own of each."""
    return frozenset(prefix + name for prefix in ("x-amz-", vendor_prefix) for name in names)


AMZ_NVME = ChecksumDialect(nvme_header="x-amz-checksum-crc64nvme", sent=True, full_object=True)
AMZ_XZ = ChecksumDialect(xz_header="x-amz-checksum-crc64ecma", sent=True, full_object=True)


@dataclass(frozen=True, slots=True)
class Profile:
    """The quirks of one service.

    domains: suffixes of hosts that belong to it; credentials never go elsewhere after a redirect.
    default_storage_class: sent with puts that name none, where the bucket's own default class would apply otherwise.
    metadata_prefixes: read in this order, the first one is written.
    signing_regions: regions that signatures spell in another way. region_if_none: signed where none was given.
    copies_objects, copies_parts: CopyObject and UploadPartCopy may be tried. directs_tags: CopyObject knows x-amz-tagging-directive.
    storage_classes: names of the policies it has beside STANDARD. kms_headers: ask for encryption with KMS; () = cannot.
    vendor_prefix: of headers that come beside or instead of x-amz-*. payer_header: "" = there are no requester-pays buckets.
    carries_tags: a put may name tags, and ?tagging reads them.
    """

    name: str
    addressing: Addressing = Addressing.VIRTUAL
    list_version: ListVersion = ListVersion.V2
    url_encoded_listings: bool = True
    payload_signing: PayloadSigning = PayloadSigning.UNSIGNED
    checksums: ChecksumDialect = ChecksumDialect()
    domains: tuple[str, ...] = ()
    default_storage_class: str = ""
    metadata_prefixes: tuple[str, ...] = ("x-amz-meta-",)
    signing_regions: tuple[tuple[str, str], ...] = ()
    region_if_none: str = "us-east-1"
    min_part_bytes: int = 5 * _MIB
    max_part_bytes: int = 5 * _GIB
    max_put_bytes: int = 5 * _GIB
    max_parts: int = 10_000
    max_key_bytes: int = 1024
    max_copy_bytes: int = 5 * _GIB
    copies_objects: bool = True
    copies_parts: bool = True
    directs_tags: bool = False
    listing_order: ListingOrder = ListingOrder.BYTEWISE
    storage_classes: tuple[tuple[StoragePolicy, str], ...] = S3_CLASSES
    kms_headers: tuple[tuple[str, str], ...] = _AMZ_KMS
    vendor_prefix: str = "x-amz-"
    payer_header: str = "x-amz-request-payer"
    restore_dialect: RestoreDialect = RestoreDialect.GLACIER
    carries_tags: bool = True

    def storage_class_of(self, policy: StoragePolicy | None) -> str:
        """The header's value for a policy, "" if none is sent."""
        if policy is None or policy is _STANDARD:
            return self.default_storage_class
        return dict(self.storage_classes).get(policy, self.default_storage_class)

    def answered(self, headers: Mapping[str, str], name: str) -> str:
        """The value of x-amz-<name>, or the vendor's own; "" if there is none."""
        return headers.get(f"x-amz-{name}") or headers.get(self.vendor_prefix + name, "")

    def answers_any(self, headers: Mapping[str, str], names: tuple[str, ...]) -> bool:
        """Would answered() find any of these? Quick where it would not, as with most objects."""
        return not _full_names(self.vendor_prefix, names).isdisjoint(headers)

    def signing_region(self, region: str) -> str:
        """The region as signatures spell it."""
        return dict(self.signing_regions).get(region) or region or self.region_if_none

    def abilities(self) -> Abilities:
        """What the engine needs to know of it."""
        return Abilities(
            min_part_bytes=self.min_part_bytes,
            max_part_bytes=self.max_part_bytes,
            max_put_bytes=self.max_put_bytes,
            max_parts=self.max_parts,
            max_key_bytes=self.max_key_bytes,
            listing_order=self.listing_order,
            verifies_crc64_nvme=self.checksums.sent and bool(self.checksums.nvme_header),
            verifies_crc64_xz=self.checksums.sent and bool(self.checksums.xz_header),
            full_object_crc64=self.checksums.full_object,
            copies_objects=self.copies_objects,
            copies_parts=self.copies_parts,
            max_copy_bytes=self.max_copy_bytes,
            storage_policies=frozenset({StoragePolicy.STANDARD, *dict(self.storage_classes)}),
            encrypts_kms=bool(self.kms_headers),
        )


# A custom endpoint, whatever cloud it is said to be: most self-hosted servers want the bucket in the path.
GENERIC = Profile("generic", addressing=Addressing.PATH, checksums=AMZ_NVME, directs_tags=True)

_PROFILES = {
    CloudType.AWS: Profile(
        "aws", checksums=AMZ_NVME, domains=("amazonaws.com", "amazonaws.com.cn"), directs_tags=True
    ),
    # url encoding makes the marker of parallel file systems repeat a page for ever; those have no V2 either (rclone).
    CloudType.HUAWEI: Profile(
        "obs",
        list_version=ListVersion.V1,
        url_encoded_listings=False,
        checksums=AMZ_XZ,
        domains=("myhuaweicloud.com", "myhuaweicloud.eu"),
        vendor_prefix="x-obs-",
        default_storage_class="STANDARD",
        metadata_prefixes=("x-amz-meta-", "x-obs-meta-"),
        min_part_bytes=100 * _KIB,
    ),
    CloudType.ALIYUN: Profile(
        "oss",
        checksums=ChecksumDialect(xz_header="x-oss-hash-crc64ecma"),
        domains=("aliyuncs.com",),
        # The S3 dialect of OSS has neither RestoreObject nor tagging, and no name for its coldest classes.
        storage_classes=S3_CLASSES[:2],
        vendor_prefix="x-oss-",
        payer_header="x-oss-request-payer",
        restore_dialect=RestoreDialect.NONE,
        carries_tags=False,
        metadata_prefixes=("x-amz-meta-", "x-oss-meta-"),
        min_part_bytes=100 * _KIB,
    ),
    CloudType.TENCENT: Profile(
        "cos",
        list_version=ListVersion.V1,
        checksums=ChecksumDialect(xz_header="x-cos-hash-crc64ecma"),
        domains=("myqcloud.com", "tencentcos.cn"),
        storage_classes=(
            (StoragePolicy.IA, "STANDARD_IA"),
            (StoragePolicy.ARCHIVE, "ARCHIVE"),
            (StoragePolicy.DEEP_ARCHIVE, "DEEP_ARCHIVE"),
        ),
        vendor_prefix="x-cos-",
        payer_header="x-cos-request-payer",
        restore_dialect=RestoreDialect.CAS,
        metadata_prefixes=("x-amz-meta-", "x-cos-meta-"),
        min_part_bytes=1 * _MIB,
    ),
    # Its XML API has no UploadPartCopy (rclone).
    CloudType.GOOGLE: Profile(
        "gcs",
        addressing=Addressing.PATH,
        domains=("googleapis.com",),
        storage_classes=((StoragePolicy.IA, "NEARLINE"), (StoragePolicy.ARCHIVE, "ARCHIVE")),
        kms_headers=(),
        vendor_prefix="x-goog-",
        payer_header="",
        restore_dialect=RestoreDialect.NONE,
        carries_tags=False,
        metadata_prefixes=("x-amz-meta-", "x-goog-meta-"),
        region_if_none="auto",
        copies_parts=False,
    ),
    CloudType.BAIDU: Profile(
        "bos",
        list_version=ListVersion.V1,
        checksums=ChecksumDialect(xz_header="x-bce-content-crc64ecma"),
        domains=("bcebos.com",),
        storage_classes=((StoragePolicy.IA, "STANDARD_IA"), (StoragePolicy.ARCHIVE, "ARCHIVE")),
        kms_headers=(),
        vendor_prefix="x-bce-",
        payer_header="x-bce-request-payer",
        restore_dialect=RestoreDialect.NONE,
        carries_tags=False,
        metadata_prefixes=("x-amz-meta-", "x-bce-meta-"),
        min_part_bytes=100 * _KIB,
    ),
    CloudType.QINIU: Profile(
        "kodo",
        addressing=Addressing.PATH,
        url_encoded_listings=False,
        domains=("qiniucs.com",),
        storage_classes=(
            (StoragePolicy.IA, "LINE"),
            (StoragePolicy.ARCHIVE, "GLACIER"),
            (StoragePolicy.DEEP_ARCHIVE, "DEEP_ARCHIVE"),
        ),
        kms_headers=(),
        payer_header="",
        carries_tags=False,
        min_part_bytes=1 * _MIB,
        max_part_bytes=1 * _GIB,
    ),
    CloudType.KINGSOFT: Profile(
        "ks3",
        list_version=ListVersion.V1,
        checksums=ChecksumDialect(xz_header="x-kss-checksum-crc64ecma"),
        domains=("ksyuncs.com", "ksyun.com"),
        storage_classes=((StoragePolicy.IA, "STANDARD_IA"), (StoragePolicy.ARCHIVE, "ARCHIVE")),
        kms_headers=(),
        vendor_prefix="x-kss-",
        payer_header="",
        restore_dialect=RestoreDialect.JOB,
        metadata_prefixes=("x-amz-meta-", "x-kss-meta-"),
        signing_regions=(
            ("cn-beijing", "BEIJING"),
            ("cn-shanghai", "SHANGHAI"),
            ("cn-guangzhou", "GUANGZHOU"),
            ("cn-qingdao", "QINGDAO"),
            ("jr-beijing", "JR_BEIJING"),
            ("jr-shanghai", "JR_SHANGHAI"),
            ("cn-hk-1", "HONGKONG"),
            ("sgp", "SINGAPORE"),
            ("rus", "RUSSIA"),
        ),
    ),
    # Parts that arrive side by side get a wrong checksum there (rclone), so parts are not copied.
    CloudType.QINGCLOUD: Profile(
        "qingstor",
        list_version=ListVersion.V1,
        domains=("qingstor.com", "qsstor.com"),
        storage_classes=((StoragePolicy.IA, "STANDARD_IA"),),
        kms_headers=(),
        payer_header="",
        restore_dialect=RestoreDialect.NONE,
        carries_tags=False,
        metadata_prefixes=("x-amz-meta-", "x-qs-meta-"),
        min_part_bytes=4 * _MIB,
        max_key_bytes=1023,
        copies_parts=False,
    ),
    # Every part but the last must have exactly 8 MiB. Its S3 mode does not document copies.
    CloudType.UCLOUD: Profile(
        "us3",
        list_version=ListVersion.V1,
        domains=("ufileos.com",),
        storage_classes=((StoragePolicy.IA, "IA"), (StoragePolicy.ARCHIVE, "ARCHIVE")),
        kms_headers=(),
        payer_header="",
        restore_dialect=RestoreDialect.NONE,
        carries_tags=False,
        min_part_bytes=8 * _MIB,
        max_part_bytes=8 * _MIB,
        copies_objects=False,
        copies_parts=False,
    ),
}


def profile_of(cloud_type: CloudType) -> Profile | None:
    """The profile of a cloud's own hosts; None if it does not speak S3."""
    return _PROFILES.get(cloud_type)


def is_host_of(profile: Profile, host: str) -> bool:
    """Does this host belong to the service?"""
    return any(host == domain or host.endswith(f".{domain}") for domain in profile.domains)


def profile_at(cloud_type: CloudType, host: str) -> Profile | None:
    """The profile to speak to a host with: the cloud's, or the generic one if the host is not the cloud's own."""
    profile = profile_of(cloud_type)
    return profile if profile is None or is_host_of(profile, host) else GENERIC
