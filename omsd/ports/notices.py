"""Notices: what is stored of them, and the way they leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from omsd.domain.errors import OmsdError
from omsd.domain.notices import Notice, NoticeFacts, NoticeId, NoticeMessage, NoticeOwner, SmnConfig, SmnInfo


@dataclass(frozen=True, slots=True)
class AddNotice:
    """A change of the task store: the notice is due, and takes the place of the owner's earlier ones. Those that are due are still sent."""

    owner: NoticeOwner
    config: SmnConfig
    facts: NoticeFacts


@dataclass(frozen=True, slots=True)
class DropNotices:
    """A change of the task store: the owner has no notice to show. Those that are due are still sent."""

    owner: NoticeOwner


class NoticeStore(Protocol):
    """Notices are added by whoever commits the end they are about; settled by the sender. Every call raises TaskStoreError only."""

    async def due_notices(self, after: NoticeId, limit: int) -> tuple[Notice, ...]:
        """Those that are neither sent nor given up, oldest first, behind one."""

    async def settle_notice(self, notice_id: NoticeId, *, error_code: str = "", detail: str = "") -> None:
        """It is sent, or given up with this code. Durable when this returns."""

    async def smn_infos(self, owners: Collection[NoticeOwner]) -> Mapping[NoticeOwner, SmnInfo]:
        """What became of the latest notice of each owner that has one."""


class DeliveryError(OmsdError):
    """A notice did not arrive, as far as is known. code: OMS.0156 to OMS.0161."""

    def __init__(
        self, code: str, message: str, *, retryable: bool, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class NoticeSink(Protocol):
    """Where notices go."""

    async def deliver(self, notice: Notice, message: NoticeMessage) -> None:
        """The receiver has it. A repeat is possible, and told by its message_id where the protocol has a place for it.

        Raises DeliveryError.
        """
