"""The gRPC server: our services, health and reflection behind one address."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from omsd.api.grpc.auth import AuthServicer
from omsd.api.grpc.buckets import BucketCalls, BucketServicer
from omsd.api.grpc.caller import AccessCalls
from omsd.api.grpc.catalog import CatalogCalls, CatalogServicer
from omsd.api.grpc.groups import GroupCalls, GroupServicer
from omsd.api.grpc.interceptor import CallInterceptor
from omsd.api.grpc.syncs import SyncCalls, SyncServicer
from omsd.api.grpc.tasks import TaskCalls, TaskServicer
from omsd.api.grpc.watches import Watches
from omsd.domain.errors import OmsdError
from omsd.pb.v1 import (
    auth_pb2,
    auth_pb2_grpc,
    group_pb2,
    group_pb2_grpc,
    service_pb2,
    service_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from omsd.service.access import AccessService

MIB = 1024 * 1024


def _full_name(service: str) -> str:
    name: str = service_pb2.DESCRIPTOR.services_by_name[service].full_name
    return name


TASK_SERVICE = _full_name("MigrationTaskService")
AUTH_SERVICE: str = auth_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name
GROUP_SERVICE: str = group_pb2.DESCRIPTOR.services_by_name["TaskGroupService"].full_name
SYNC_SERVICE: str = sync_pb2.DESCRIPTOR.services_by_name["SyncTaskService"].full_name

# The largest request is a task with 500 keys of 1,024 characters; the largest answer a page of 100 such tasks.
REQUEST_MAX_BYTES = 12 * MIB
ANSWER_MAX_BYTES = 256 * MIB
MAX_CONCURRENT_CALLS = 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", REQUEST_MAX_BYTES),
    ("grpc.max_send_message_length", ANSWER_MAX_BYTES),
    # Without this a second daemon could listen on the same port and get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", MAX_CONCURRENT_CALLS),
)


class ListenError(OmsdError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The server's chain and key, PEM. client_ca: whose certificates callers must have to connect, None = no certificate is wanted."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A service beside that of tasks. add: registers its servicer with a server, whose watches it shares."""

    full_name: str
    add: Callable[[aio.Server, Watches], None]


def bucket_service(buckets: BucketCalls) -> GrpcService:
    """BucketService."""
    servicer = BucketServicer(buckets)
    return GrpcService(
        _full_name("BucketService"),
        lambda server, _: service_pb2_grpc.add_BucketServiceServicer_to_server(servicer, server),
    )


def catalog_service(catalog: CatalogCalls) -> GrpcService:
    """CatalogService."""
    servicer = CatalogServicer(catalog)
    return GrpcService(
        _full_name("CatalogService"),
        lambda server, _: service_pb2_grpc.add_CatalogServiceServicer_to_server(servicer, server),
    )


def sync_service(syncs: SyncCalls) -> GrpcService:
    """SyncTaskService."""
    servicer = SyncServicer(syncs)
    return GrpcService(
        SYNC_SERVICE, lambda server, _: sync_pb2_grpc.add_SyncTaskServiceServicer_to_server(servicer, server)
    )


def group_service(groups: GroupCalls) -> GrpcService:
    """TaskGroupService."""

    def add(server: aio.Server, watches: Watches) -> None:
        group_pb2_grpc.add_TaskGroupServiceServicer_to_server(GroupServicer(groups, watches), server)

    return GrpcService(GROUP_SERVICE, add)


class GrpcServer:
    """Answers from start() on; drain() lets it be taken out of service, stop() ends it."""

    def __init__(
        self,
        tasks: TaskCalls,
        *others: GrpcService,
        listen: str,
        access: AccessCalls | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """access: who may call; None: nobody is asked who he is."""
        self._access = access or AccessService.open_to_all()
        self._listen = listen
        self._others = others
        self._certificate = certificate
        self._watches = Watches()
        self._servicer = TaskServicer(tasks, self._watches)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
        self._server: aio.Server | None = None

    async def start(self) -> str:
        """Listen and answer; health says SERVING. Returns the address, with the port that was given for port 0.

        Raises ListenError if the address is taken or cannot be used.
        """
        server = aio.server(
            interceptors=(CallInterceptor(self._access),),
            options=_OPTIONS,
            maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
        )
        service_pb2_grpc.add_MigrationTaskServiceServicer_to_server(self._servicer, server)
        auth_pb2_grpc.add_AuthServiceServicer_to_server(AuthServicer(self._access), server)
        for other in self._others:
            other.add(server, self._watches)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*self._names(), health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        port = self._bind(server)
        await server.start()
        self._server = server
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        if self._listen.startswith("unix:"):
            return self._listen
        return f"{self._listen.rpartition(':')[0]}:{port}"

    async def drain(self) -> None:
        """Health says NOT_SERVING and watches end; calls are still answered."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._watches.end_all()

    async def stop(self, *, grace_s: float) -> None:
        """Take no more calls; those under way get grace_s, then are cut. Safe to repeat."""
        if self._server is not None:
            await self.drain()
            await self._server.stop(grace_s)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in (health.OVERALL_HEALTH, *self._names()):
            await self._health.set(name, status)

    def _names(self) -> tuple[str, ...]:
        return (TASK_SERVICE, AUTH_SERVICE, *(other.full_name for other in self._others))

    def _bind(self, server: aio.Server) -> int:
        # A Unix socket is open to its owner and group only: whoever can connect can do everything.
        before = os.umask(0o117)
        try:
            if self._certificate is None:
                return server.add_insecure_port(self._listen)
            credentials = grpc.ssl_server_credentials(
                [(self._certificate.key, self._certificate.chain)],
                root_certificates=self._certificate.client_ca,
                require_client_auth=self._certificate.client_ca is not None,
            )
            return server.add_secure_port(self._listen, credentials)
        except RuntimeError as error:
            raise ListenError(
                f"cannot listen on {self._listen}: is it in use, or not an address of this machine?"
            ) from error
        finally:
            os.umask(before)
