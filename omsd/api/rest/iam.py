"""The two calls of the identity service that callers of the documented API make: a token for a password, and the projects of a caller.

Source: API reference 3.2, chapter 4 and 7.4, whose examples put `scope` and `password` at different places; all are taken.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from omsd.api.rest.bodies import Text, Texts
from omsd.api.rest.services import Services
from omsd.api.rest.table import Access, Answer, Call, Route, Version
from omsd.domain.access import Project
from omsd.domain.errors import RequestError
from omsd.service.access import TokenRequest
from omsd.service.findings import Findings
from omsd.service.needs import IAM_USER_NEEDS

_PASSWORD = "password"  # noqa: S105 - the name of a method


class NameOrId(msgspec.Struct, frozen=True, kw_only=True):
    name: Text = None
    id: Text = None


class UserBody(msgspec.Struct, frozen=True, kw_only=True):
    name: Text = None
    password: Text = None
    domain: NameOrId | None = None


class PasswordBody(msgspec.Struct, frozen=True, kw_only=True):
    user: UserBody | None = None
    password: Text = None


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    methods: Texts = None
    password: PasswordBody | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    project: NameOrId | None = None


class AuthBody(msgspec.Struct, frozen=True, kw_only=True):
    identity: Identity
    scope: Scope | None = None


class TokenBody(msgspec.Struct, frozen=True, kw_only=True):
    auth: AuthBody
    scope: Scope | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class ProjectShort(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str


class TokenUser(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    domain: Named


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """project: null for a token that is good in all projects of its user."""

    expires_at: str
    issued_at: str
    methods: tuple[str, ...]
    project: ProjectShort | None
    user: TokenUser


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The token itself is in the header X-Subject-Token."""

    token: Token


class Links(msgspec.Struct, frozen=True, kw_only=True):
    next: None
    previous: None
    self: str


class ProjectAnswer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    domain_id: str
    parent_id: str
    description: str
    is_domain: bool
    enabled: bool
    links: Links


class Projects(msgspec.Struct, frozen=True, kw_only=True):
    projects: tuple[ProjectAnswer, ...]
    links: Links


class ProjectsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """name: of a project, which is that of a region."""

    name: Text = None


async def _create_token(services: Services, call: Call) -> Answer:
    issued = await services.access.issue_token(token_request_of(call.body), address=call.address)
    principal, project = issued.principal, issued.project
    token = Token(
        expires_at=_iso(issued.expires_at_s),
        issued_at=_iso(issued.issued_at_s),
        methods=(_PASSWORD,),
        project=ProjectShort(id=project.project_id, name=project.name) if project else None,
        user=TokenUser(name=principal.user, domain=Named(name=principal.domain)),
    )
    return Answer(TokenAnswer(token=token), 201, (("X-Subject-Token", issued.token),))


async def _list_projects(services: Services, call: Call) -> Projects:
    found = services.access.projects(call.caller, call.query.name or None)
    base = f"{call.base_url}/v3/projects"
    return Projects(
        projects=tuple(_project_answer(project, base) for project in found),
        links=Links(next=None, previous=None, self=base),
    )


def token_request_of(body: TokenBody) -> TokenRequest:
    """The call as written. Raises RequestError if it is not about a password."""
    identity = body.auth.identity
    if identity.methods is not None and tuple(map(str.lower, identity.methods)) != (_PASSWORD,):
        raise RequestError.of_field("OMS.0064", "auth.identity.methods", f'must be ["{_PASSWORD}"]')
    given = identity.password or PasswordBody()
    user = given.user or UserBody()
    password = user.password if user.password is not None else given.password
    findings = Findings()
    findings.need(
        IAM_USER_NEEDS, UserBody(name=user.name, password=password), at="auth.identity.password.user"
    )
    findings.raise_if_any()
    scope = body.auth.scope or body.scope or Scope()
    project, domain = scope.project or NameOrId(), user.domain or NameOrId()
    return TokenRequest(
        user.name or "", password or "", domain.name or domain.id or "", project.id or project.name or ""
    )


def _project_answer(project: Project, base: str) -> ProjectAnswer:
    return ProjectAnswer(
        id=project.project_id,
        name=project.name,
        domain_id=project.domain,
        parent_id=project.domain,
        description="",
        is_domain=False,
        enabled=True,
        links=Links(next=None, previous=None, self=f"{base}/{project.project_id}"),
    )


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


IAM_ROUTES: tuple[Route, ...] = (
    Route(
        "create_token",
        "POST",
        "/v3/auth/tokens",
        "Get a token for a password",
        _create_token,
        Access.OPEN,
        "CreateToken",
        Version.NONE,
        body=TokenBody,
        answer=TokenAnswer,
        status=201,
    ),
    Route(
        "list_projects",
        "GET",
        "/v3/projects",
        "List the projects of the caller",
        _list_projects,
        Access.SELF,
        "ListProjects",
        Version.NONE,
        query=ProjectsQuery,
        answer=Projects,
        frequent=True,
    ),
)
