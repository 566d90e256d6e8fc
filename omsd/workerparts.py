"""Composition root of a worker process: drivers, engine and the protocol put together."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import cast

import uvloop

from omsd.drivers.addresses import address_policy
from omsd.drivers.registry import EndpointOverride, StoreFactory
from omsd.drivers.s3.profiles import Addressing, ListVersion
from omsd.engine.settings import EngineSettings
from omsd.executors.channel import worker_channel
from omsd.executors.protocol import Configure
from omsd.executors.questions import CloudDoors, Questions
from omsd.executors.settings import WorkerSettings, decode_settings
from omsd.executors.worker import Worker
from omsd.telemetry.logging import LogFormat, setup_logging
from omsd.wire import Deadlines, make_tls_context


def make_factory(settings: WorkerSettings) -> StoreFactory:
    """The store factory of one process."""
    return StoreFactory(
        deadlines=Deadlines(
            connect_s=settings.connect_timeout_s,
            first_byte_s=settings.first_byte_timeout_s,
            stall_s=settings.stall_timeout_s,
        ),
        tls=make_tls_context(ca_file=settings.ca_file, verify=settings.verify_tls),
        allow_address=address_policy(settings.allowed_networks),
        overrides=[
            EndpointOverride(
                endpoint.cloud_type,
                endpoint.region,
                endpoint.url,
                Addressing(endpoint.addressing) if endpoint.addressing else None,
                ListVersion(f"v{endpoint.list_version}") if endpoint.list_version else None,
            )
            for endpoint in settings.endpoints
        ],
        # The engine's adaptive limit counts requests; a little more room, so that the pool is never what waits.
        max_per_origin=settings.max_requests_per_endpoint + 16,
    )


def make_engine_settings(settings: WorkerSettings) -> EngineSettings:
    """The engine's figures as configured."""
    return EngineSettings(
        part_bytes=settings.part_bytes,
        single_put_max_bytes=settings.single_put_max_bytes,
        copies_in_service=settings.copies_in_service,
        copy_part_bytes=settings.copy_part_bytes,
        large_bytes=settings.large_bytes,
        buffer_budget_bytes=settings.buffer_budget_bytes,
        max_requests_per_endpoint=settings.max_requests_per_endpoint,
        restore_deadline_s=settings.restore_deadline_s,
        restore_poll_s=settings.restore_poll_s,
    )


async def serve(descriptor: int) -> None:
    """Work for the control process at the other end of the socket."""
    channel = await worker_channel(socket.socket(fileno=descriptor))
    configured = await channel.receive()
    if not isinstance(configured, Configure):
        return
    settings = decode_settings(configured.settings)
    setup_logging(settings.log_level, cast(LogFormat, settings.log_format))
    factory = make_factory(settings)
    try:
        questions = Questions(CloudDoors(factory.open, factory.open_account, factory.web))
        worker = Worker(channel, make_engine_settings(settings), factory.open, questions.answer)
        await worker.run(_abandon)
    finally:
        await factory.close()


def _abandon() -> None:
    # Nobody takes results any more. The next control process finds what was stored and does the rest again.
    os._exit(0)


def run(descriptor: int) -> None:
    """Work on a loop of this process until the other end of the socket is closed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(descriptor))
