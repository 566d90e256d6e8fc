"""The engine's figures, handed in by whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How one worker moves objects.

    whole_max_bytes: objects up to this are read whole and put with their checksum. single_put_max_bytes: above it multipart.
    part_bytes: wished part size, grows for huge objects. copies_in_service: the destination may be asked to copy from the source itself;
    above copy_part_bytes in parts of that size. large_bytes: objects above it get shards of their own, which all workers share and
    which are gone on with part by part. copiers: objects at work per shard. part_copiers: parts at work per object.
    buffer_budget_bytes: for objects read whole, per worker. max_requests_per_endpoint: cap of the adaptive limit.
    batch_objects, report_interval_s: a batch goes out at whichever comes first. window_objects: how far listing may run ahead of the
    oldest unfinished object; lead_objects, lead_bytes: nor further than that beyond the finished ones, whichever is more.
    most_handed: large objects a lease hands over before it ends; the ledger decides when its shard goes on.
    split_after_objects: keys a range that only lists must have had before its upper part is given away.
    split_objects, split_bytes: of keys already listed, so many (or so large ones) are worth a shard of their own.
    busy_attempts: instead of max_attempts while a service says that it is busy: some minutes with the delays below.
    restore_deadline_s: how long an archived object may take to be restored. restore_poll_s: how soon it is asked after.
    """

    whole_max_bytes: int = 1 * MIB
    single_put_max_bytes: int = 8 * MIB
    part_bytes: int = 16 * MIB
    copies_in_service: bool = True
    copy_part_bytes: int = 256 * MIB
    large_bytes: int = 256 * MIB
    copiers: int = 32
    part_copiers: int = 4
    buffer_budget_bytes: int = 32 * MIB
    max_requests_per_endpoint: int = 64
    batch_objects: int = 1000
    report_interval_s: float = 0.5
    window_objects: int = 10_000
    lead_objects: int = 8
    lead_bytes: int = 1024 * MIB
    most_handed: int = 128
    split_after_objects: int = 4000
    split_objects: int = 256
    split_bytes: int = 64 * MIB
    max_attempts: int = 8
    busy_attempts: int = 24
    retry_base_s: float = 0.2
    retry_cap_s: float = 20.0
    cleanup_deadline_s: float = 20.0
    restore_deadline_s: float = 48 * 3600.0
    restore_poll_s: float = 300.0
