"""AuthService: tokens, and who the caller is. What every call has to pass is in interceptor.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc import aio

from omsd.api.grpc.caller import AccessCalls, address_of, caller_of
from omsd.pb.v1 import auth_pb2, auth_pb2_grpc
from omsd.service.access import TokenRequest
from omsd.service.findings import Findings
from omsd.service.needs import LOGIN_NEEDS

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    """Errors leave as exceptions; the interceptor turns them into a status."""

    def __init__(self, access: AccessCalls) -> None:
        self._access = access

    async def CreateToken(
        self, request: auth_pb2.CreateTokenRequest, context: Context
    ) -> auth_pb2.CreateTokenResponse:
        asked = TokenRequest(request.user, request.password, request.domain, request.project)
        findings = Findings()
        findings.need(LOGIN_NEEDS, asked)
        findings.raise_if_any()
        issued = await self._access.issue_token(asked, address=address_of(context))
        return auth_pb2.CreateTokenResponse(
            token=issued.token, issued_at=issued.issued_at_s * 1000, expires_at=issued.expires_at_s * 1000
        )

    async def GetCaller(self, request: auth_pb2.GetCallerRequest, context: Context) -> auth_pb2.Caller:
        principal = await caller_of(self._access, context)
        return auth_pb2.Caller(
            user=principal.user,
            domain=principal.domain,
            method=principal.method,
            projects=[
                auth_pb2.ProjectRole(
                    project_id=grant.project.project_id,
                    name=grant.project.name,
                    domain=grant.project.domain,
                    role=grant.role,
                )
                for grant in principal.grants
            ],
        )
