"""Questions about clouds in the control process: how they travel to a worker, and what came back."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from omsd.domain.errors import OmsdError
from omsd.domain.questions import Question
from omsd.executors import protocol

A = TypeVar("A")


def ask_message(ask_id: int, question: Question, deadline_s: float) -> protocol.Ask:
    """The question as it travels."""
    return protocol.Ask(ask_id, type(question).__name__, msgspec.msgpack.encode(question), deadline_s)


def answer_of(message: protocol.Answered, answer_type: type[A]) -> A:
    """What was answered. Raises StoreError if the cloud refused or failed, OmsdError if the worker did."""
    if message.fault is not None:
        raise message.fault.error()
    if not message.body:
        raise OmsdError("the question could not be answered; the worker's log says why")
    return msgspec.msgpack.decode(message.body, type=answer_type)
