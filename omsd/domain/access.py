"""Who may do what: roles, projects, callers, and the one rule that lets a call pass or refuses it.

How a caller proves who it is lives elsewhere (signature.py, tokens.py, passwords.py; service/access.py puts them together).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from omsd.domain.errors import Refusal, RequestError

# Codes of the API reference, 7.2.
SIGNATURE_CODE = "OMS.1005"
TOKEN_CODE = "OMS.0068"  # noqa: S105 - a code of errors
READ_ONLY_CODE = "OMS.0205"
FORBIDDEN_CODE = "OMS.0206"
BUSY_CODE = "OMS.2004"
_SHOWN_MAX = 64


class Role(StrEnum):
    """What a user may do in a project. ADMIN is held in every project of the users file, the others in named ones."""

    ADMIN = "admin"
    OPERATOR = "operator"
    READ_ONLY = "read-only"

    @property
    def may_change(self) -> bool:
        """May it create, start, stop, alter or delete?"""
        return self is not Role.READ_ONLY


class AuthMethod(StrEnum):
    """How a caller proved who it is. NONE: nobody was asked to (only on this machine)."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105 - the name of a method
    TOKEN = "token"  # noqa: S105 - likewise
    SIGNATURE = "signature"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Project:
    """A project; tasks, groups and synchronization tasks belong to one and are seen in it alone."""

    project_id: str
    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user may do in one project."""

    project: Project
    role: Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling.

    grants: the projects the call may be about; of a token for one project only that one. everywhere: any project id is good (method NONE).
    stated_project: X-Project-Id of a signed request, "" if it had none.
    """

    user: str
    domain: str
    method: AuthMethod
    grants: tuple[Grant, ...] = ()
    everywhere: bool = False
    stated_project: str = ""

    def role_in(self, project_id: str) -> Role | None:
        """The role in a project, None if the caller has none there."""
        if self.everywhere:
            return Role.ADMIN
        return next((grant.role for grant in self.grants if grant.project.project_id == project_id), None)


# The caller where no authentication is configured.
ANYBODY = Principal(user="", domain="", method=AuthMethod.NONE, everywhere=True)


def authorize(principal: Principal, project_id: str, *, change: bool) -> None:
    """Let the call pass or raise RequestError: OMS.0206 (project or caller without role), OMS.0205 (read-only user changes something).

    project_id "": a call about no project, for which any role will do. Source: API reference 7.1, 7.2.
    """
    if principal.everywhere:
        return
    if not principal.grants:
        raise forbidden(f"user {principal.user} has no role in any project")
    if not project_id:
        role: Role | None = principal.grants[0].role
    else:
        if principal.stated_project and principal.stated_project != project_id:
            raise forbidden("X-Project-Id names another project than the request")
        role = principal.role_in(project_id)
    if role is None:
        # The same words whether the project exists or not.
        raise forbidden(f"user {principal.user} may not use project {project_id[:_SHOWN_MAX]}")
    if change and not role.may_change:
        raise RequestError(
            READ_ONLY_CODE,
            f"user {principal.user} may only read in project {project_id}",
            refusal=Refusal.FORBIDDEN,
        )


def forbidden(message: str) -> RequestError:
    """The refusal of a caller that may not use a project."""
    return RequestError(FORBIDDEN_CODE, message, refusal=Refusal.FORBIDDEN)


def unauthenticated(code: str, message: str) -> RequestError:
    """The refusal of a caller that has not proved who it is; code is that of the way it tried."""
    return RequestError(code, message, refusal=Refusal.UNAUTHENTICATED)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An AK/SK pair of a user. security_token and expires_at_s (Unix): of a temporary pair."""

    access_key: str
    secret_key: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    expires_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user of the users file. password_hash "": no password. certificates: subject names, CN or SAN, that mean this user."""

    name: str
    domain: str
    password_hash: str = field(default="", repr=False)
    grants: tuple[Grant, ...] = ()
    keys: tuple[AccessKey, ...] = ()
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accounts:
    """All users and projects, as one reading of the users file found them; names and AKs in it are unique."""

    projects: tuple[Project, ...] = ()
    users: Mapping[str, User] = field(default_factory=dict)
    by_access_key: Mapping[str, tuple[User, AccessKey]] = field(default_factory=dict)
    by_certificate: Mapping[str, User] = field(default_factory=dict)

    @classmethod
    def of(cls, projects: tuple[Project, ...], users: tuple[User, ...]) -> Accounts:
        """With the indexes made."""
        return cls(
            projects,
            {user.name: user for user in users},
            {key.access_key: (user, key) for user in users for key in user.keys},
            {name: user for user in users for name in user.certificates},
        )


# Operations by the name both APIs use for them, in permissions and in the audit log. What is in neither of the first two sets changes
# something: a new operation is guarded before anybody has thought of it.
# OPEN ones are let through without credentials; GetCaller looks at them by itself, since it answers also users without a role.
OPEN_OPERATIONS = frozenset({"CreateToken", "GetCaller", "ListApiVersions", "GetApiVersion"})
READING_OPERATIONS = frozenset(
    {
        *("GetTask", "ListTasks", "WatchTask"),
        *("GetSyncTask", "ListSyncTasks", "GetSyncTaskStatistics"),
        *("ListBuckets", "ListBucketObjects", "GetBucketRegion", "CheckPrefix", "GetCdnInfo", "CheckUrlList"),
        *("ListCloudTypes", "ListRegions", "ListQuotas", "ListProjects"),
        *("GetTaskGroup", "ListTaskGroups", "WatchTaskGroup"),
    }
)
CHANGING_OPERATIONS = frozenset(
    {
        *("CreateTask", "StartTask", "StopTask", "DeleteTask", "UpdateBandwidthPolicy", "BatchUpdateTasks"),
        *("CreateSyncTask", "StartSyncTask", "StopSyncTask", "DeleteSyncTask", "CreateSyncEvents"),
        *("CreateTaskGroup", "StartTaskGroup", "StopTaskGroup", "RetryTaskGroup", "UpdateTaskGroup"),
        *("DeleteTaskGroup", "RotateSyncEventSecret"),
    }
)


def changes(operation: str) -> bool:
    """Does an operation change something? Such are forbidden to read-only users, and audited."""
    return operation not in READING_OPERATIONS and operation not in OPEN_OPERATIONS
