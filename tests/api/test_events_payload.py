"""What storage services send, as documented or as seen on the wire, and what it means."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.api.events.payload import read_notification
from omsd.domain.bucket_events import BucketChange, Notification
from omsd.domain.errors import RequestError
from omsd.domain.sync import KeyNames

# "Event message structure" of the Amazon S3 user guide.
AWS = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-west-2",
            "eventTime": "1970-01-01T00:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "testConfigRule",
                "bucket": {
                    "name": "photos",
                    "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                    "arn": "arn:aws:s3:::photos",
                },
                "object": {
                    "key": "red+flower%2B.jpg",
                    "size": 1024,
                    "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                    "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
            "glacierEventData": {"restoreEventData": {"lifecycleRestoreStorageClass": "GLACIER"}},
        }
    ]
}
AWS_TEST = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2014-10-13T15:57:02.089Z",
    "Bucket": "photos",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
}
# A webhook of MinIO: the record once more in short, keys encoded with their slashes, "s3:" before the names.
MINIO = {
    "EventName": "s3:ObjectCreated:CompleteMultipartUpload",
    "Key": "photos/2024/red flower.jpg",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "awsRegion": "",
            "eventTime": "2019-05-18T07:34:32Z",
            "eventName": "s3:ObjectCreated:CompleteMultipartUpload",
            "userIdentity": {"principalId": "minio"},
            "requestParameters": {"accessKey": "minio", "region": "", "sourceIPAddress": "172.18.0.1"},
            "responseElements": {"x-amz-request-id": "159FB6B233B08AF0"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "Config",
                "bucket": {
                    "name": "photos",
                    "ownerIdentity": {"principalId": "minio"},
                    "arn": "arn:aws:s3:::photos",
                },
                "object": {"key": "2024%2Fred+flower.jpg", "size": 629, "sequencer": "15612487A9DF732C"},
            },
            "source": {"host": "172.18.0.1", "port": "", "userAgent": "MinIO (linux; amd64)"},
        }
    ],
}
# "Bucket Notifications" of the Ceph documentation: keys as they are, sizes as text.
CEPH = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "ceph:s3",
            "awsRegion": "zonegroup1",
            "eventTime": "2019-11-22T13:47:35.124724Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "tester"},
            "requestParameters": {"sourceIPAddress": ""},
            "responseElements": {"x-amz-request-id": "503a4c37", "x-amz-id-2": "14d2-zone1-zonegroup1"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "mynotif1",
                "bucket": {
                    "name": "photos",
                    "ownerIdentity": {"principalId": "tester"},
                    "arn": "arn:aws:s3:zonegroup1::photos",
                    "id": "503a4c37-85eb-47cd-8681-2817e80b4281.5332.38",
                },
                "object": {
                    "key": "100%25 a+b.jpg",
                    "size": "1024",
                    "eTag": "37b51d194a7513e45b56f6524f2d51f2",
                    "versionId": "",
                    "sequencer": "F7E6D75DC742D108",
                    "metadata": [],
                    "tags": [],
                },
            },
            "eventId": "",
            "opaqueData": "me@example.com",
        }
    ]
}


def read(body: object) -> Notification:
    return read_notification(json.dumps(body).encode())


def written(key: str) -> Notification:
    return Notification((BucketChange("photos", KeyNames(key)),))


def removed(key: str) -> Notification:
    return Notification((BucketChange("photos", KeyNames(key), removed=True),))


def record(name: str, key: str, source: str = "aws:s3") -> dict[str, Any]:
    s3 = {"bucket": {"name": "photos"}, "object": {"key": key}}
    return {"Records": [{"eventName": name, "eventSource": source, "s3": s3}]}


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (AWS, written("red flower+.jpg")),
        (AWS_TEST, Notification(others=("s3:TestEvent",))),
        (MINIO, written("2024/red flower.jpg")),
        (CEPH, written("100%25 a+b.jpg")),
        ({"EventName": "s3:ObjectRemoved:Delete", "Key": "photos/a b+c/%d"}, removed("a b+c/%d")),
        ({"Records": []}, Notification()),
    ],
    ids=["aws", "aws test event", "minio", "ceph", "minio in short", "empty"],
)
def test_what_services_send_is_understood(body: object, meant: Notification) -> None:
    assert read(body) == meant


@pytest.mark.parametrize(
    ("name", "is_removal"),
    [
        ("ObjectCreated:Put", False),
        ("s3:ObjectCreated:Copy", False),
        ("ObjectSynced:Create", False),
        ("ObjectRemoved:Delete", True),
        ("s3:ObjectRemoved:DeleteMarkerCreated", True),
        ("LifecycleExpiration:Delete", True),
        ("s3:LifecycleExpiration:DeleteMarkerCreated", True),
        ("ObjectLifecycle:Expiration:Current", True),
        ("ObjectSynced:Delete", True),
    ],
)
def test_names_of_writes_and_removals_of_all_services(name: str, is_removal: bool) -> None:
    assert read(record(name, "k")) == (removed if is_removal else written)("k")


@pytest.mark.parametrize(
    "name",
    ["ObjectRestore:Completed", "ObjectAcl:Put", "ObjectTagging:Put", "s3:ObjectAccessed:Get", "", "x"],
)
def test_other_events_are_no_changes(name: str) -> None:
    assert read(record(name, "k")) == Notification(others=(name,))


@pytest.mark.parametrize("key", ["", "\0", "a\0b"])
def test_what_no_object_can_be_called_is_left_out(key: str) -> None:
    assert read(record("ObjectCreated:Put", key)).changes == ()


def test_a_key_that_is_not_encoded_is_taken_as_it_is() -> None:
    assert read(record("ObjectCreated:Put", "50% off+more", "other:s3")) == written("50% off+more")


@given(st.text(min_size=1).filter(lambda key: "\0" not in key and key.isprintable()))
def test_every_key_comes_through_every_encoding(key: str) -> None:
    for encoded in (quote_plus(key), quote_plus(key, safe="/")):
        assert read(record("ObjectCreated:Put", encoded)) == written(key)
    assert read(record("ObjectCreated:Put", key, "ceph:s3")) == written(key)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'"s3"',
        b"\xff\xfe",
        b'{"Records": 1}',
        b'{"Records": [{"s3": {}}]}',
        b'{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}]}',
        b'{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 5}, "object": {"key": "k"}}}]}',
        b'{"Type": "Notification", "Message": "{}"}',
        b'{"event_type": "create", "key": "/buckets/a/b"}',
        b'{"Event": "\\ud800"}',
        b"[" * 100_000,
        b'{"x":' * 100_000,
    ],
)
def test_anything_else_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read_notification(body)
    assert (caught.value.code, caught.value.violations[0].field) == ("OMS.1003", "body")


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_a_refusal(body: bytes) -> None:
    try:
        read_notification(body)
    except RequestError:
        return


def filer(
    kind: str, path: str, *, old: object = None, new: object = None, parent: str = ""
) -> dict[str, Any]:
    """A request of SeaweedFS 4.48's webhook, without what nobody reads."""
    message = {"new_parent_path": parent, "delete_chunks": True, "signatures": [-1387609848]}
    if old is not None:
        message["old_entry"] = old
    if new is not None:
        message["new_entry"] = new
    return {"event_type": kind, "key": path, "message": message}


def entry(name: str, *, folder: bool = False, mime: str = "", **extended: str) -> dict[str, Any]:
    attributes = {"file_size": 5, "mtime": 1795698669, "file_mode": 432, "mime": mime}
    made: dict[str, Any] = {"name": name, "attributes": attributes}
    if folder:
        made["is_directory"] = True
    if extended:
        made["extended"] = {key.replace("_", "-"): value for key, value in extended.items()}
    return made


LATEST = {"Seaweed_X_Amz_Latest_Version_Id": "NjcxNDY1OTI="}


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (
            filer(
                "create",
                "/buckets/photos/a b+c/ü%.txt",
                new=entry("ü%.txt"),
                parent="/buckets/photos/a b+c",
            ),
            written("a b+c/ü%.txt"),
        ),
        (
            filer("update", "/buckets/photos/p", old=entry("p"), new=entry("p"), parent="/buckets/photos"),
            written("p"),
        ),
        (filer("delete", "/buckets/photos/x/p", old=entry("p")), removed("x/p")),
        (
            filer("rename", "/buckets/photos/p", old=entry("p"), new=entry("q"), parent="/buckets/photos/d"),
            Notification((*removed("p").changes, *written("d/q").changes)),
        ),
        (
            filer(
                "create",
                "/buckets/photos/dir",
                new=entry("dir", folder=True, mime="httpd/unix-directory"),
                parent="/buckets/photos",
            ),
            written("dir/"),
        ),
        (
            filer(
                "update",
                "/buckets/photos/a/ver.versions",
                old=entry("ver.versions", folder=True),
                new=entry("ver.versions", folder=True, **LATEST),
                parent="/buckets/photos/a",
            ),
            written("a/ver"),
        ),
        (
            filer(
                "create",
                "/buckets/photos/ver.versions/v_67",
                new=entry("v_67", Seaweed_X_Amz_Version_Id="NjcxNDY1OTI="),
                parent="/buckets/photos/ver.versions",
            ),
            Notification(others=("create",)),
        ),
        (
            filer(
                "create",
                "/buckets/photos/.uploads/95/0001.part",
                new=entry("0001.part"),
                parent="/buckets/photos",
            ),
            Notification(others=("create",)),
        ),
        (
            filer("create", "/buckets/photos/d", new=entry("d", folder=True), parent="/buckets/photos"),
            Notification(others=("create",)),
        ),
        (
            filer("create", "/buckets/photos", new=entry("photos", folder=True), parent="/buckets"),
            Notification(others=("create",)),
        ),
        (filer("create", "/topics/x", new=entry("x"), parent="/topics"), Notification(others=("create",))),
    ],
    ids=[
        *("create", "update", "delete", "rename", "folder object", "new version", "version file"),
        *("upload part", "folder", "bucket", "elsewhere"),
    ],
)
def test_filer_events_of_seaweedfs_become_changes_of_objects(
    body: dict[str, Any], meant: Notification
) -> None:
    if body["event_type"] == "create" and "0001" in body["key"]:
        body["message"]["new_parent_path"] = "/buckets/photos/.uploads/95"
    assert read(body) == meant
