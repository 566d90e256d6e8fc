"""The gRPC client of tokens and of who is calling. Errors come as CallError, ready to be shown."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from omsd.cli.client import ServerAddress, open_channel, translated
from omsd.pb.v1 import auth_pb2, auth_pb2_grpc

if TYPE_CHECKING:
    from omsd.pb.v1.auth_pb2_grpc import AuthServiceAsyncStub


class AuthClient:
    """To be used in `async with`. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        self._target = server.target
        self._project_id = project_id
        self._timeout_s = timeout_s
        self._channel = open_channel(server)
        self._stub: AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(None)

    async def create_token(self, request: auth_pb2.CreateTokenRequest) -> auth_pb2.CreateTokenResponse:
        """A token, for the password."""
        return await translated(self._stub.CreateToken(request, timeout=self._timeout_s), self._target)

    async def caller(self) -> auth_pb2.Caller:
        """Who the server takes us for."""
        request = auth_pb2.GetCallerRequest()
        return await translated(self._stub.GetCaller(request, timeout=self._timeout_s), self._target)
