"""The access service: tokens, signatures, certificates, guessing, and what each answers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from omsd.domain.access import ANYBODY, Accounts, AuthMethod, Grant, Role, User
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.signature import SignedRequest
from omsd.service.access import AccessService, AccessSettings, TokenRequest
from tests.fakes.clock import FakeClock
from tests.service.accounts import ACCOUNTS, MARIA, NOW_S, P1, P2, PASSWORD, ROOT, cheap_hash

HERE, THERE = "192.0.2.1", "192.0.2.2"
ALL = frozenset({AuthMethod.TOKEN, AuthMethod.SIGNATURE, AuthMethod.CERTIFICATE})


class Keys:
    """The server's token key, as the file would have it."""

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)

    def current(self) -> bytes:
        return self.key


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW_S)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def access(clock: FakeClock, keys: Keys) -> AccessService:
    return AccessService(ACCOUNTS, keys.current, clock, AccessSettings(ALL))


async def refused(call: Awaitable[Any], refusal: Refusal = Refusal.UNAUTHENTICATED) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await call
    assert caught.value.refusal is refusal, caught.value
    return caught.value


async def token_of(
    access: AccessService, project: str = "", user: str = "maria", password: str = PASSWORD
) -> str:
    issued = await access.issue_token(TokenRequest(user, password, project=project), address=HERE)
    return issued.token


def signed(
    access_key: str = "MARIAAK",
    secret_key: str = "MARIASK",
    at_s: float = NOW_S,
    path: str = "/v2/p1/tasks",
    body: bytes = b"",
    **headers: str,
) -> SignedRequest:
    """As the published client signs."""
    date = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sdk = SdkRequest(
        method="POST" if body else "GET",
        schema="http",
        host="127.0.0.1",
        resource_path=path,
        query_params=[("limit", 10)],
        header_params={"Content-Type": "application/json", "X-Sdk-Date": date, **named},
        body=body,
    )
    Signer(SimpleNamespace(ak=access_key, sk=secret_key)).sign(sdk)
    return SignedRequest(sdk.method, path, "limit=10", tuple(sdk.header_params.items()), body)


async def test_a_token_is_good_for_its_user_and_his_projects(access: AccessService) -> None:
    issued = await access.issue_token(TokenRequest("maria", PASSWORD, "acme"), address=HERE)
    assert issued.expires_at_s - issued.issued_at_s == 24 * 3600
    assert (issued.project, issued.principal.method) == (None, AuthMethod.PASSWORD)
    caller = await access.by_token(issued.token, address=THERE)
    assert (caller.user, caller.domain, caller.method) == ("maria", "acme", AuthMethod.TOKEN)
    assert caller.grants == MARIA.grants
    access.authorize(caller, "p1", change=True)


@pytest.mark.parametrize("named", ["p1", "eu-west-101"])
async def test_a_token_for_one_project_is_good_there_alone(access: AccessService, named: str) -> None:
    issued = await access.issue_token(TokenRequest("maria", PASSWORD, project=named), address=HERE)
    assert issued.project == P1
    caller = await access.by_token(issued.token, address=HERE)
    assert caller.grants == issued.principal.grants == (Grant(P1, Role.OPERATOR),)
    with pytest.raises(RequestError, match="may not use project p2"):
        access.authorize(caller, "p2", change=False)


async def test_no_token_for_a_project_of_others(access: AccessService) -> None:
    call = access.issue_token(TokenRequest("nobody", "no password", project="p1"), address=HERE)
    assert (await refused(call, Refusal.FORBIDDEN)).code == "OMS.0206"


@pytest.mark.parametrize(
    "request_",
    [
        TokenRequest("maria", "wrong"),
        TokenRequest("maria", ""),
        TokenRequest("maria", PASSWORD + "x" * 2000),
        TokenRequest("maria", PASSWORD, "other domain"),
        TokenRequest("mario", PASSWORD),
        TokenRequest("", ""),
    ],
)
async def test_a_wrong_password_and_an_unknown_user_are_answered_alike(
    access: AccessService, request_: TokenRequest
) -> None:
    error = await refused(access.issue_token(request_, address=HERE))
    assert (error.code, error.message) == ("OMS.0068", "user, domain or password are wrong")


async def test_a_user_without_a_password_gets_no_token(clock: FakeClock, keys: Keys) -> None:
    accounts = Accounts.of((P1,), (User("robot", "acme", "", (Grant(P1, Role.OPERATOR),)),))
    access = AccessService(accounts, keys.current, clock, AccessSettings(ALL))
    assert (await refused(access.issue_token(TokenRequest("robot", ""), address=HERE))).code == "OMS.0068"


async def test_a_token_ends_after_its_time(access: AccessService, clock: FakeClock) -> None:
    token = await token_of(access)
    clock.advance(24 * 3600 - 1)
    await access.by_token(token, address=HERE)
    clock.advance(1)
    error = await refused(access.by_token(token, address=HERE))
    assert (error.code, "expired" in error.message) == ("OMS.0068", True)


async def test_a_new_key_ends_all_tokens(access: AccessService, keys: Keys) -> None:
    token = await token_of(access)
    keys.key = secrets.token_bytes(32)
    assert (await refused(access.by_token(token, address=HERE))).code == "OMS.0068"
    await access.by_token(await token_of(access), address=HERE)


async def test_a_new_password_ends_the_users_tokens_and_no_others(access: AccessService) -> None:
    hers, his = await token_of(access), await token_of(access, user="root", password="root password")
    changed = replace(MARIA, password_hash=cheap_hash("something new"))
    access.replace_accounts(Accounts.of((P1, P2), (changed, ROOT)))
    assert (await refused(access.by_token(hers, address=HERE))).code == "OMS.0068"
    assert (await access.by_token(his, address=HERE)).user == "root"
    access.replace_accounts(Accounts.of((P1, P2), (changed,)))
    assert (await refused(access.by_token(his, address=HERE))).code == "OMS.0068"


async def test_roles_of_a_token_are_those_of_now(access: AccessService) -> None:
    token = await token_of(access)
    access.replace_accounts(Accounts.of((P1, P2), (replace(MARIA, grants=(Grant(P1, Role.READ_ONLY),)),)))
    caller = await access.by_token(token, address=HERE)
    with pytest.raises(RequestError) as caught:
        access.authorize(caller, "p1", change=True)
    assert caught.value.code == "OMS.0205"


async def test_a_flipped_bit_anywhere_in_a_token_is_refused(clock: FakeClock, keys: Keys) -> None:
    access = AccessService(ACCOUNTS, keys.current, clock, AccessSettings(ALL, max_failures_per_minute=10_000))
    token = (await token_of(access)).encode()
    for at in range(len(token)):
        for bit in range(8):
            other = token[:at] + bytes([token[at] ^ 1 << bit]) + token[at + 1 :]
            error = await refused(access.by_token(other.decode("utf-8", "surrogateescape"), address=HERE))
            assert error.code == "OMS.0068"


@pytest.mark.parametrize(
    "token", ["", ".", "a.b", "omsd1.", "omsd1..", "x" * 20_000, "\u00e9.\u00e9", "omsd1.W10."]
)
async def test_what_is_no_token_is_refused(access: AccessService, token: str) -> None:
    assert (await refused(access.by_token(token, address=HERE))).code == "OMS.0068"


async def test_a_signed_request_is_its_owners_and_may_come_twice(access: AccessService) -> None:
    request = signed(X_Project_Id="p1", body=b'{"a": 1}')
    for _ in range(2):
        caller = await access.by_signature(request, address=HERE)
        assert (caller.user, caller.method, caller.stated_project) == ("maria", AuthMethod.SIGNATURE, "p1")
    assert await access.by_http(request, address=HERE) == caller


async def test_a_body_too_large_for_the_loop_is_verified_too(access: AccessService) -> None:
    request = signed(body=b"x" * 1_000_000)
    await access.by_signature(request, address=HERE)
    other = replace(request, body=b"x" * 999_999 + b"y")
    assert (await refused(access.by_signature(other, address=HERE))).code == "OMS.1005"


@pytest.mark.parametrize(
    "request_",
    [
        signed(secret_key="other"),
        signed(access_key="UNKNOWN"),
        replace(signed(), raw_path="/v2/p2/tasks"),
        replace(signed(), raw_query="limit=11"),
        replace(signed(), method="DELETE"),
        replace(signed(), headers=()),
    ],
)
async def test_what_was_not_signed_with_the_users_key_is_refused(
    access: AccessService, request_: SignedRequest
) -> None:
    assert (await refused(access.by_signature(request_, address=HERE))).code == "OMS.1005"


@pytest.mark.parametrize(
    ("off_s", "good"), [(0, True), (900, True), (-900, True), (901, False), (-901, False)]
)
async def test_the_date_must_be_near_the_servers_clock(access: AccessService, off_s: int, good: bool) -> None:
    call = access.by_signature(signed(at_s=NOW_S + off_s), address=HERE)
    if good:
        await call
    else:
        error = await refused(call)
        assert (error.code, "15 minutes off the server's clock" in error.message) == ("OMS.1005", True)


async def test_a_temporary_key_wants_its_token_and_ends(access: AccessService, clock: FakeClock) -> None:
    good = signed("TEMPAK", "TEMPSK", X_Security_Token="SECURITYTOKEN")
    await access.by_signature(good, address=HERE)
    for request in (
        signed("TEMPAK", "TEMPSK"),
        signed("TEMPAK", "TEMPSK", X_Security_Token="other"),
        signed(X_Security_Token="SECURITYTOKEN"),
    ):
        assert "X-Security-Token" in (await refused(access.by_signature(request, address=HERE))).message
    clock.advance(3600)
    late = signed("TEMPAK", "TEMPSK", NOW_S + 3600, X_Security_Token="SECURITYTOKEN")
    assert "expired" in (await refused(access.by_signature(late, address=HERE))).message


async def test_a_certificate_is_the_user_its_names_mean(access: AccessService) -> None:
    caller = await access.by_certificate(["laptop", "maria@acme.example"], address=HERE)
    assert (caller.user, caller.method) == ("maria", AuthMethod.CERTIFICATE)
    for names in ([], ["laptop"], ["maria@acme.example", "nobody"]):
        assert (await refused(access.by_certificate(names, address=HERE))).code == "OMS.1005"


async def test_a_http_request_is_judged_by_what_it_has(access: AccessService) -> None:
    token = await token_of(access)
    with_token = SignedRequest("GET", "/v2/p1/tasks", "", (("X-Auth-Token", token),))
    assert (await access.by_http(with_token, address=HERE)).method is AuthMethod.TOKEN
    # The SDK signs a token that its caller adds; then the signature counts, also against a good token.
    both = signed(X_Auth_Token=token)
    assert (await access.by_http(both, address=HERE)).method is AuthMethod.SIGNATURE
    wrong = signed(secret_key="other", X_Auth_Token=token)
    assert (await refused(access.by_http(wrong, address=HERE))).code == "OMS.1005"
    bare = SignedRequest("GET", "/v2/p1/tasks", "", ())
    assert (await refused(access.by_http(bare, address=HERE))).code == "OMS.1005"


async def test_a_method_that_is_not_configured_is_refused(clock: FakeClock, keys: Keys) -> None:
    settings = AccessSettings(frozenset({AuthMethod.CERTIFICATE}))
    access = AccessService(ACCOUNTS, keys.current, clock, settings)
    for call in (
        access.by_token("x", address=HERE),
        access.by_signature(signed(), address=HERE),
        access.issue_token(TokenRequest("maria", PASSWORD), address=HERE),
    ):
        assert "not configured" in (await refused(call)).message


async def test_where_nobody_is_asked_everything_is_let_through(clock: FakeClock) -> None:
    access = AccessService.open_to_all()
    assert not access.required
    assert access.anonymous("", "") == ANYBODY
    assert await access.by_http(signed(secret_key="any"), address=HERE) == ANYBODY
    issued = await access.issue_token(TokenRequest("any", "thing", project="eu-west-101"), address=HERE)
    assert await access.by_token(issued.token, address=HERE) == ANYBODY
    (project,) = access.projects(ANYBODY, "eu-west-101")
    assert project.project_id == "eu-west-101"
    assert len(access.projects(ANYBODY)) == 1


async def test_projects_are_found_by_the_name_of_their_region(access: AccessService) -> None:
    caller = await access.by_signature(signed(), address=HERE)
    assert access.projects(caller) == (P1, P2)
    assert access.projects(caller, "eu-west-102") == (P2,)
    assert access.projects(caller, "p2") == (P2,)
    assert access.projects(caller, "cn-north-1") == ()


async def test_guessing_passwords_ends_after_ten_and_does_not_lock_out_who_is_known_elsewhere(
    access: AccessService, clock: FakeClock
) -> None:
    await token_of(access)  # maria is known HERE
    for _ in range(10):
        await refused(access.issue_token(TokenRequest("maria", "guess"), address=THERE))
    # The right guess would not help either, nor another address.
    for address in (THERE, "192.0.2.3"):
        right = access.issue_token(TokenRequest("maria", PASSWORD), address=address)
        assert (await refused(right, Refusal.BUSY)).code == "OMS.2004"
    token = await token_of(access)
    # What needs no guess is never slowed, not even there.
    await access.by_token(token, address=THERE)
    await access.by_signature(signed(), address=THERE)
    clock.advance(61)
    await access.issue_token(TokenRequest("maria", PASSWORD), address=THERE)


async def test_who_is_known_at_an_address_is_guessed_at_there_no_more_often(access: AccessService) -> None:
    await token_of(access)
    for _ in range(10):
        await refused(access.issue_token(TokenRequest("maria", "guess"), address=HERE))
    await refused(access.issue_token(TokenRequest("maria", PASSWORD), address=HERE), Refusal.BUSY)


async def test_a_wrong_client_keeps_none_of_its_neighbours_out(clock: FakeClock, keys: Keys) -> None:
    access = AccessService(ACCOUNTS, keys.current, clock, AccessSettings(ALL, max_failures_per_minute=2))
    root = TokenRequest("root", "root password")
    for client in range(9):
        for refusal in (Refusal.UNAUTHENTICATED, Refusal.UNAUTHENTICATED, Refusal.BUSY, Refusal.BUSY):
            guess = access.issue_token(TokenRequest(f"client {client}", "wrong"), address=HERE)
            await refused(guess, refusal)
        await access.issue_token(root, address=HERE)


async def test_an_address_has_an_end_whoever_is_guessed_at_from_there(clock: FakeClock, keys: Keys) -> None:
    access = AccessService(ACCOUNTS, keys.current, clock, AccessSettings(ALL, max_failures_per_minute=2))
    root = TokenRequest("root", "root password")
    await access.issue_token(root, address=HERE)
    for client in range(20):
        await refused(access.issue_token(TokenRequest(f"client {client}", "wrong"), address=HERE))
    await refused(access.issue_token(TokenRequest("another", "wrong"), address=HERE), Refusal.BUSY)
    await refused(access.issue_token(root, address=HERE), Refusal.BUSY)
    await access.issue_token(root, address=THERE)
    clock.advance(3)
    await access.issue_token(root, address=HERE)


async def test_who_has_an_old_token_can_get_a_new_one_however_often_it_was_refused(
    access: AccessService,
) -> None:
    for _ in range(200):
        with pytest.raises(RequestError):
            await access.by_token("old", address=HERE)
    await token_of(access)


async def test_many_guesses_at_once_are_not_more_than_the_limit(access: AccessService) -> None:
    calls = [access.issue_token(TokenRequest("maria", f"guess {n}"), address=THERE) for n in range(30)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    codes = [answer.code for answer in answers if isinstance(answer, RequestError)]
    assert (codes.count("OMS.0068"), codes.count("OMS.2004")) == (10, 20)


async def test_bad_signatures_of_a_key_are_answered_busy_after_ten(access: AccessService) -> None:
    for _ in range(10):
        await refused(access.by_signature(signed(secret_key="bad"), address=HERE))
    error = await refused(access.by_signature(signed(secret_key="bad"), address=HERE), Refusal.BUSY)
    assert error.code == "OMS.2004"
    # Other keys and tokens are answered as ever, so that their callers learn what is wrong.
    await refused(access.by_signature(signed(access_key="UNKNOWN"), address=HERE))
    await refused(access.by_token("bad", address=HERE))
    await access.by_signature(signed(), address=HERE)


async def test_bad_tokens_from_an_address_are_answered_busy_after_a_hundred(access: AccessService) -> None:
    for _ in range(100):
        await refused(access.by_token("bad", address=HERE))
    error = await refused(access.by_token("bad", address=HERE), Refusal.BUSY)
    assert error.code == "OMS.2004"
    assert "not one of this server" in error.message
    await refused(access.by_token("bad", address=THERE))
    await access.by_signature(signed(), address=HERE)


async def test_a_flood_of_password_checks_is_bounded(clock: FakeClock, keys: Keys) -> None:
    access = AccessService(ACCOUNTS, keys.current, clock, AccessSettings(ALL, max_failures_per_minute=10_000))
    calls = [access.issue_token(TokenRequest("maria", PASSWORD), address=f"192.0.2.{n}") for n in range(200)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, RequestError)]
    assert {refusal.code for refusal in refusals} == {"OMS.2004"}
    assert 200 - 40 <= len(refusals) < 200


def test_nothing_secret_is_in_what_debuggers_and_logs_print() -> None:
    shown = repr((MARIA, TokenRequest("maria", PASSWORD), signed(X_Security_Token="SECURITYTOKEN")))
    for secret in ("MARIASK", "SECURITYTOKEN", PASSWORD, MARIA.password_hash):
        assert secret not in shown
