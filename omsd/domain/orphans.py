"""Which open uploads came from a creation of ours whose answer was lost; pure. Why this proves it: docs/architecture.md."""

from __future__ import annotations

from collections.abc import Sequence

from omsd.domain.shards import OpenUpload, UploadIntent

# S3 refuses requests whose time is further off than this, so no clock of a service that took ours is.
_MAX_SKEW_S = 15 * 60.0


def suspects(intent: UploadIntent, open_uploads: Sequence[OpenUpload]) -> tuple[OpenUpload, ...]:
    """Uploads of the key that were not known before the intent, and began within the time that a creation may take."""
    if not intent.at_s:
        return ()
    return tuple(
        upload
        for upload in open_uploads
        if upload.key == intent.key
        and upload.upload_id not in intent.known
        and abs(upload.initiated_s - intent.at_s) <= _MAX_SKEW_S
    )


def lost_ones(intent: UploadIntent, empty: Sequence[OpenUpload]) -> tuple[OpenUpload, ...]:
    """Of the suspects without any part, those that are ours: all of them, or none if there are more than we tried to create."""
    return tuple(empty) if len(empty) <= intent.attempts else ()
