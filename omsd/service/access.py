"""Who is calling, and may it? One implementation for both APIs: they hand in what came over the wire and get a Principal or a refusal.

Rules are in domain/access.py, signature.py and tokens.py; files are read by omsd/accounts. No secret leaves this module.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from omsd.clock import SystemClock
from omsd.domain import signature, tokens
from omsd.domain.access import (
    ANYBODY,
    SIGNATURE_CODE,
    TOKEN_CODE,
    AccessKey,
    Accounts,
    AuthMethod,
    Principal,
    Project,
    User,
    authorize,
    forbidden,
    unauthenticated,
)
from omsd.domain.signature import SignedRequest
from omsd.domain.tokens import Token
from omsd.ports.clock import Clock
from omsd.service.audit import audit_token
from omsd.service.guard import Guard, PasswordChecker

# Hashing more than this takes longer than a turn of the loop should.
_HASH_IN_THREAD_BYTES = 256 * 1024
_NO_KEY = AccessKey("", "")


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """methods: how callers may prove who they are; none: nobody is asked. max_failures_per_minute: of a user or AK, see Guard."""

    methods: frozenset[AuthMethod] = frozenset()
    token_lifetime_s: int = 24 * 3600
    clock_skew_s: float = 900.0
    max_failures_per_minute: int = 10


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A call for a token. domain "": any. project: the id or name of the one project it is for, "" for all of the user's."""

    user: str
    password: str
    domain: str = ""
    project: str = ""

    def __repr__(self) -> str:
        return f"TokenRequest(user={self.user!r})"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and what it is good for. project: the one it was asked for, None if for all."""

    token: str
    issued_at_s: int
    expires_at_s: int
    principal: Principal
    project: Project | None

    def __repr__(self) -> str:
        return f"IssuedToken(user={self.principal.user!r})"


class AccessService:
    """Every by_ method returns who is calling or raises RequestError: UNAUTHENTICATED (OMS.0068 token, OMS.1005 else), or BUSY (OMS.2004)
    to a source that has failed too often. A caller whose credentials are good is never refused for the failures of others, but for the
    password call, which would else be a way to guess.

    address: where the call came from, an IP address or any other word; it is what failures are counted by.
    """

    def __init__(
        self,
        accounts: Accounts,
        token_key: Callable[[], bytes],
        clock: Clock,
        settings: AccessSettings | None = None,
    ) -> None:
        """token_key: the key that tokens are signed with, as it is now; asked at each use."""
        self._accounts = accounts
        self._token_key = token_key
        self._clock = clock
        self._settings = settings or AccessSettings()
        self._guard = Guard(self._settings.max_failures_per_minute, clock)
        self._passwords = PasswordChecker()

    @classmethod
    def open_to_all(cls) -> AccessService:
        """One that asks nobody who he is, and gives tokens that end with it."""
        key = secrets.token_bytes(tokens.KEY_BYTES)
        return cls(Accounts(), lambda: key, SystemClock())

    @property
    def required(self) -> bool:
        """Must callers say who they are?"""
        return bool(self._settings.methods)

    def replace_accounts(self, accounts: Accounts) -> None:
        """From now on these users and projects are known; tokens of users who are gone are good no more."""
        self._accounts = accounts

    async def by_http(self, request: SignedRequest, *, address: str) -> Principal:
        """The caller of a REST request, by whichever of Authorization and X-Auth-Token it has; both: the signature counts."""
        sent = {name.lower() for name, _ in request.headers}
        if not self.required:
            return ANYBODY
        if "authorization" in sent:
            return await self.by_signature(request, address=address)
        if "x-auth-token" in sent:
            return await self.by_token(request.header("x-auth-token") or "", address=address)
        return self.anonymous(SIGNATURE_CODE, "sign the request (Authorization) or send X-Auth-Token")

    def anonymous(self, code: str, wanted: str) -> Principal:
        """The caller without any credentials: ANYBODY where nobody is asked, else refused with code and what is wanted."""
        if not self.required:
            return ANYBODY
        raise unauthenticated(code, f"no credentials were sent: {wanted}")

    async def by_token(self, token: str, *, address: str) -> Principal:
        """The user a token was issued to, as the users file has it now. OMS.0068 if it is forged, old, revoked or the user is gone."""
        if not self.required:
            return ANYBODY
        with self._guard.counted(address):
            self._wanted(AuthMethod.TOKEN, TOKEN_CODE)
            told = tokens.read_token(token, self._token_key(), self._clock.now_s())
            user = self._accounts.users.get(told.user)
            if user is None or tokens.generation_of(user) != told.generation:
                raise tokens.refused("the user of the token is gone or has a new password; get a new token")
            grants = user.grants
            if told.project_id:
                grants = tuple(grant for grant in grants if grant.project.project_id == told.project_id)
        return Principal(user.name, user.domain, AuthMethod.TOKEN, grants)

    async def by_signature(self, request: SignedRequest, *, address: str) -> Principal:
        """The owner of the AK that signed exactly this request. OMS.1005 if not, or if its X-Sdk-Date is too far from our clock.

        The same signature may come again: dates are whole seconds and there is no nonce, so two equal calls of one client within a second
        are signed alike, and the SDKs send such.
        """
        if not self.required:
            return ANYBODY
        with self._guard.counted(address) as attempt:
            self._wanted(AuthMethod.SIGNATURE, SIGNATURE_CODE)
            claim = signature.claim_of(request)
            attempt.about(f"ak {claim.access_key}")
            now_s = self._clock.now_s()
            if abs(now_s - claim.signed_at_s) > self._settings.clock_skew_s:
                minutes = self._settings.clock_skew_s / 60
                raise signature.refused(
                    f"X-Sdk-Date is more than {minutes:g} minutes off the server's clock; set the clock of the caller"
                )
            user, key = self._accounts.by_access_key.get(claim.access_key, (None, _NO_KEY))
            payload_hash = await _hash_of(request)
            # An unknown AK takes as long as another.
            good = signature.matches(claim, request, key.secret_key, payload_hash)
            if user is None or not good:
                raise signature.refused("the AK is unknown, or the signature is not that of its SK")
            if not signature.same_text(key.security_token, claim.security_token):
                raise signature.refused("X-Security-Token is not that of the AK")
            if key.expires_at_s is not None and now_s >= key.expires_at_s:
                raise signature.refused("the temporary AK has expired")
        return Principal(
            user.name, user.domain, AuthMethod.SIGNATURE, user.grants, stated_project=claim.project_id
        )

    async def by_certificate(self, names: Iterable[str], *, address: str) -> Principal:
        """The user that the subject names (CN, SANs) of a verified client certificate mean. OMS.1005 unless it is exactly one."""
        if not self.required:
            return ANYBODY
        with self._guard.counted(address):
            self._wanted(AuthMethod.CERTIFICATE, SIGNATURE_CODE)
            found = {user.name: user for name in names if (user := self._accounts.by_certificate.get(name))}
            if len(found) != 1:
                raise unauthenticated(
                    SIGNATURE_CODE,
                    "the client certificate's names mean " + ("several users" if found else "no user"),
                )
            (user,) = found.values()
        return Principal(user.name, user.domain, AuthMethod.CERTIFICATE, user.grants)

    async def issue_token(self, request: TokenRequest, *, address: str) -> IssuedToken:
        """A token for a user who knows the password; ends by itself, with the password, or with the server's token key.

        OMS.0068 if user, password or domain are wrong, OMS.0206 if the user has no role in the project asked for. Where nobody is asked who
        he is, anybody gets one, and needs none.
        """
        if not self.required:
            anybody = User(request.user, request.domain or "default")
            return self._issued(anybody, ANYBODY, self._scope_of(ANYBODY, request.project))
        self._wanted(AuthMethod.TOKEN, TOKEN_CODE)
        user = self._accounts.users.get(request.user)
        if user is not None and request.domain not in ("", user.domain):
            user = None
        with self._guard.charged(address, request.user):
            hashed = user.password_hash if user is not None else ""
            good = await self._passwords.check(request.password, hashed)
            if user is None or not good:
                raise tokens.refused("user, domain or password are wrong")
        principal = Principal(user.name, user.domain, AuthMethod.PASSWORD, user.grants)
        project = self._scope_of(principal, request.project)
        if project is not None:
            principal = replace(
                principal, grants=tuple(grant for grant in user.grants if grant.project == project)
            )
        issued = self._issued(user, principal, project)
        audit_token(
            principal,
            project.project_id if project else "",
            address=address,
            expires_at_s=issued.expires_at_s,
        )
        return issued

    def projects(self, principal: Principal, name: str | None = None) -> tuple[Project, ...]:
        """The projects the caller may use, or the one of that name or id: names are those of regions, as SDKs ask (`GET /v3/projects`).

        Where nobody is asked who he is, every name is a project whose id is that name; without a name there is "default".
        """
        if principal.everywhere:
            wanted = name or "default"
            return (Project(wanted, wanted, "default"),)
        own = tuple(grant.project for grant in principal.grants)
        return own if name is None else tuple(p for p in own if name in (p.name, p.project_id))

    def authorize(self, principal: Principal, project_id: str, *, change: bool) -> None:
        """Let the call pass or raise RequestError: OMS.0206 (project not the caller's, no role), OMS.0205 (read-only)."""
        authorize(principal, project_id, change=change)

    def _wanted(self, method: AuthMethod, code: str) -> None:
        if method not in self._settings.methods:
            raise unauthenticated(
                code, f"this server is not configured for the method {method} ([auth] methods)"
            )

    def _scope_of(self, principal: Principal, wanted: str) -> Project | None:
        if not wanted:
            return None
        found = self.projects(principal, wanted)
        if len(found) != 1:
            raise forbidden(f"user {principal.user} may not use project {wanted[:64]}")
        return found[0]

    def _issued(self, user: User, principal: Principal, project: Project | None) -> IssuedToken:
        now_s = int(self._clock.now_s())
        token = Token(
            user=user.name,
            project_id=project.project_id if project else "",
            generation=tokens.generation_of(user),
            issued_at_s=now_s,
            expires_at_s=now_s + self._settings.token_lifetime_s,
        )
        text = tokens.sign_token(token, self._token_key())
        return IssuedToken(text, now_s, token.expires_at_s, principal, project)


async def _hash_of(request: SignedRequest) -> str:
    if len(request.body) <= _HASH_IN_THREAD_BYTES:
        return signature.body_hash(request)
    return await asyncio.to_thread(signature.body_hash, request)
