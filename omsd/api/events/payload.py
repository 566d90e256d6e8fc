"""Bodies of event notifications to what they say of buckets: S3 event JSON, and the filer events of SeaweedFS's webhook."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from omsd.domain.bucket_events import BucketChange, Notification
from omsd.domain.errors import RequestError
from omsd.domain.sync import KeyNames, parse_key

# Without the "s3:" that MinIO and test events have in front. Lifecycle rules remove, other zones of a Ceph cluster write.
_WRITES = ("ObjectCreated:", "ObjectSynced:Create")
_REMOVALS = (
    "ObjectRemoved:",
    "ObjectSynced:Delete",
    "LifecycleExpiration:",
    "ObjectLifecycle:Expiration:",
)
# These services send keys as they are; AWS and MinIO encode them as forms do.
_PLAIN_KEYS = frozenset({"ceph:s3"})

_BUCKETS_FOLDER = "/buckets/"
_UPLOADS_FOLDER = ".uploads"
_VERSIONS_SUFFIX = ".versions"
_LATEST_VERSION = "Seaweed-X-Amz-Latest-Version-Id"
_VERSION = "Seaweed-X-Amz-Version-Id"


class _Bucket(msgspec.Struct, frozen=True):
    name: str


class _Object(msgspec.Struct, frozen=True):
    key: str


class _S3(msgspec.Struct, frozen=True):
    bucket: _Bucket
    object: _Object


class _Record(msgspec.Struct, frozen=True):
    """s3: missing in records of other things than objects."""

    event_name: str = msgspec.field(name="eventName")
    event_source: str = msgspec.field(name="eventSource", default="")
    s3: _S3 | None = None


class _Attributes(msgspec.Struct, frozen=True):
    mime: str = ""


class _Entry(msgspec.Struct, frozen=True):
    """A file or folder of the filer."""

    name: str
    is_directory: bool = False
    attributes: _Attributes | None = None
    extended: dict[str, str] | None = None


class _FilerMessage(msgspec.Struct, frozen=True):
    old_entry: _Entry | None = None
    new_entry: _Entry | None = None
    new_parent_path: str = ""


class _Body(msgspec.Struct, frozen=True):
    """Whatever may come. records, event: S3. event_name, log_key: MinIO, beside its records. key, event_type, message: SeaweedFS."""

    records: tuple[_Record, ...] | None = msgspec.field(name="Records", default=None)
    event: str = msgspec.field(name="Event", default="")
    event_name: str = msgspec.field(name="EventName", default="")
    log_key: str = msgspec.field(name="Key", default="")
    key: str = ""
    event_type: str = ""
    message: _FilerMessage | None = None


_DECODER = msgspec.json.Decoder(_Body)


def read_notification(body: bytes) -> Notification:
    """What the body says. Raises RequestError if it is no event notification.

    Sources: "Event message structure" of the S3 user guide; Ceph's "Bucket Notifications"; MinIO and SeaweedFS 4.48 as they send it.
    """
    try:
        read = _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _not_an_event(str(error)) from None
    if read.records is not None:
        return _of_records(read.records)
    if read.message is not None and read.event_type:
        return _of_filer_event(read.key, read.event_type, read.message)
    if read.event_name and read.log_key:
        bucket, _, key = read.log_key.partition("/")
        return _gathered([(read.event_name, bucket, key, KeyNames(key))])
    if read.event:
        # s3:TestEvent, sent once when a notification is configured.
        return Notification(others=(read.event,))
    raise _not_an_event("neither Records nor Event is in it")


def _of_records(records: tuple[_Record, ...]) -> Notification:
    found = []
    for record in records:
        if record.s3 is None:
            found.append((record.event_name, "", "", KeyNames("")))
            continue
        key = record.s3.object.key
        names = KeyNames(key) if record.event_source in _PLAIN_KEYS else _decoded(key)
        found.append((record.event_name, record.s3.bucket.name, key, names))
    return _gathered(found)


def _gathered(found: list[tuple[str, str, str, KeyNames]]) -> Notification:
    """Event name, bucket, key as sent and as meant, of each record."""
    changes, others = [], []
    for event_name, bucket, sent_key, names in found:
        kind = event_name.removeprefix("s3:")
        removed = kind.startswith(_REMOVALS)
        if sent_key and _is_key(names.key) and (removed or kind.startswith(_WRITES)):
            changes.append(BucketChange(bucket, names, removed))
        else:
            others.append(event_name)
    return Notification(tuple(changes), tuple(others))


def _decoded(key: str) -> KeyNames:
    """A + is a space, without doubt: a plus is %2B. What cannot be decoded was not encoded."""
    try:
        return KeyNames(parse_key(key).key)
    except ValueError:
        return KeyNames(key)


def _is_key(key: str) -> bool:
    """Can an object have it? JSON may hold what UTF-8 cannot."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return bool(key) and "\0" not in key


def _of_filer_event(path: str, event_type: str, message: _FilerMessage) -> Notification:
    """path: of the old entry, or of the new one where there was none."""
    new_path = path
    if message.new_entry is not None and message.new_parent_path:
        new_path = f"{message.new_parent_path}/{message.new_entry.name}"
    found = []
    if message.old_entry is not None and (message.new_entry is None or new_path != path):
        found.append((path, message.old_entry, True))
    if message.new_entry is not None:
        found.append((new_path, message.new_entry, False))
    changes = [change for place, entry, removed in found for change in _filer_changes(place, entry, removed)]
    return Notification(tuple(changes), () if changes else (event_type,))


def _filer_changes(path: str, entry: _Entry, removed: bool) -> Iterator[BucketChange]:
    """The object that an entry is, if it is one: not a folder made on the way, nor a part of an upload."""
    if not path.startswith(_BUCKETS_FOLDER):
        return
    bucket, _, key = path.removeprefix(_BUCKETS_FOLDER).partition("/")
    parent, _, name = key.rpartition("/")
    if key.partition("/")[0] == _UPLOADS_FOLDER or not _is_key(key):
        return
    extended = entry.extended or {}
    if entry.is_directory:
        if name.endswith(_VERSIONS_SUFFIX) and _LATEST_VERSION in extended:
            # Where versions are kept: the object has another newest one, which may be a delete marker.
            yield BucketChange(bucket, KeyNames(key.removesuffix(_VERSIONS_SUFFIX)), removed)
        elif entry.attributes is not None and entry.attributes.mime:
            yield BucketChange(bucket, KeyNames(key + "/"), removed)
    elif not (parent.endswith(_VERSIONS_SUFFIX) and _VERSION in extended):
        yield BucketChange(bucket, KeyNames(key), removed)


def _not_an_event(why: str) -> RequestError:
    return RequestError.of_field("OMS.1003", "body", f"must be an S3 event notification in JSON: {why}")
