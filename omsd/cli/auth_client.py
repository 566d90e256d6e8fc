"""The gRPC client of tokens and of who is calling. Errors come as CallError, ready to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omsd.cli.client import Client, ServerAddress
from omsd.pb.v1 import auth_pb2, auth_pb2_grpc

if TYPE_CHECKING:
    from omsd.pb.v1.auth_pb2_grpc import AuthServiceAsyncStub


class AuthClient(Client):
    """Calls about tokens and the caller. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        super().__init__(server, project_id, timeout_s=timeout_s)
        self._stub: AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(self._channel)

    async def create_token(self, request: auth_pb2.CreateTokenRequest) -> auth_pb2.CreateTokenResponse:
        """A token, for the password."""
        return await self._call(self._stub.CreateToken, request)

    async def caller(self) -> auth_pb2.Caller:
        """Who the server takes us for."""
        request = auth_pb2.GetCallerRequest()
        return await self._call(self._stub.GetCaller, request)
