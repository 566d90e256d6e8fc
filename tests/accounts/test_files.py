"""The users file and the token key: what is read, what is refused, and that no secret is in a refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omsd.accounts.keyfile import TokenKeyError, TokenKeyFile
from omsd.accounts.usersfile import UsersFileError, read_accounts
from omsd.domain import passwords
from omsd.domain.access import Grant, Project, Role

HASH = passwords.hash_password("secret", b"0" * 16, log_n=4, block_size=1, parallel=1)
GOOD = f"""
[[project]]
id = "p1"
name = "eu-west-101"
domain = "acme"

[[project]]
id = "p2"
name = "eu-west-102"

[[user]]
name = "maria"
domain = "acme"
password = "{HASH}"
certificates = ["maria@acme.example"]
roles = {{ "eu-west-101" = "operator", "p2" = "read-only" }}

[[user.key]]
ak = "AK1"
sk = "HUSH"

[[user.key]]
ak = "AK2"
sk = "HUSH2"
security_token = "HUSHTOKEN"
expires_at = 2026-12-01T00:00:00Z

[[user]]
name = "root"
admin = true
"""


def write(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "users.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def problems(path: Path) -> str:
    with pytest.raises(UsersFileError) as caught:
        read_accounts(path)
    assert "HUSH" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_users_have_their_projects_keys_and_names(tmp_path: Path) -> None:
    accounts = read_accounts(write(tmp_path, GOOD))
    one, two = Project("p1", "eu-west-101", "acme"), Project("p2", "eu-west-102", "default")
    assert accounts.projects == (one, two)
    maria, root = accounts.users["maria"], accounts.users["root"]
    assert maria.grants == (Grant(one, Role.OPERATOR), Grant(two, Role.READ_ONLY))
    assert root.grants == (Grant(one, Role.ADMIN), Grant(two, Role.ADMIN))
    assert accounts.by_access_key["AK2"] == (maria, maria.keys[1])
    assert (maria.keys[1].security_token, maria.keys[1].expires_at_s) == ("HUSHTOKEN", 1_796_083_200)
    assert accounts.by_certificate == {"maria@acme.example": maria}
    assert passwords.verify_password("secret", maria.password_hash)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, GOOD, mode)
    assert f"has mode {mode:o}" in problems(path)
    assert read_accounts(path, str(tmp_path)).users


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('name = "maria"', "", "missing required field `name` - at `$.user[0]`"),
        ('name = "maria"', "name = 7", "Expected `str`, got `int` - at `$.user[0].name`"),
        ('name = "maria"', 'name = "maria"\npasword = "HUSH"', "unknown field `pasword` - at `$.user[0]`"),
        ('"operator"', '"owner"', "Invalid enum value 'owner'"),
        ('"p2" = "read', '"p3" = "read', "user 'maria': roles: 'p3' is no [[project]]"),
        ('name = "eu-west-102"', 'name = "eu-west-101"', "'eu-west-101' is the name of several projects"),
        ('id = "p2"', 'id = "p1"', "project id 'p1' is there 2 times"),
        ('id = "p2"', 'id = "a/b"', "[[project]] number 2: id has 1 to 64 letters"),
        ('name = "root"', 'name = "maria"', "user 'maria' is there 2 times"),
        (
            "admin = true",
            'certificates = ["maria@acme.example"]',
            "certificate name 'maria@acme.example' is there 2",
        ),
        ('ak = "AK2"', 'ak = "AK1"', "user 'maria': an AK of this user is there twice"),
        ('ak = "AK2"', 'ak = "A,K"', "user 'maria': key number 2: ak has 1 to 100 visible"),
        ('sk = "HUSH"', 'sk = "HUSH "', "key number 1: sk must not begin or end with spaces"),
        (HASH, "HUSH", "user 'maria': password must be what `omsd hash-password` prints"),
        (HASH, HASH.replace("ln=4,", "ln=40,"), "password must be what"),
        (HASH, HASH.replace("ln=4,r=1,", "ln=24,r=99,"), "password must be what"),
        ("admin = true", 'admin = true\nroles = { "p1" = "operator" }', "user 'root': has admin = true"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00", "Expected `datetime` with a timezone component"),
        ('sk = "HUSH"', "sk = HUSH", "not valid TOML: (at line "),
        (GOOD, "", "there is no [[user]]: nobody could call"),
    ],
)
def test_what_is_wrong_is_said_by_field(tmp_path: Path, before: str, after: str, expected: str) -> None:
    assert before in GOOD
    assert expected in problems(write(tmp_path, GOOD.replace(before, after)))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "No such file" in problems(tmp_path / "users.toml")


def test_the_token_key_is_made_kept_and_changed(tmp_path: Path) -> None:
    daemon, command = TokenKeyFile(tmp_path), TokenKeyFile(tmp_path)
    first = daemon.current()
    assert (len(first), daemon.current(), command.current()) == (32, first, first)
    path = tmp_path / "token-key"
    assert path.stat().st_mode & 0o777 == 0o600
    command.rotate()
    second = daemon.current()
    assert second != first
    path.unlink()
    assert daemon.current() not in (first, second)
    assert os.listdir(tmp_path) == ["token-key"]


def test_a_token_key_that_others_can_read_or_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token-key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(TokenKeyError, match="has 5 bytes"):
        TokenKeyFile(tmp_path).current()
    path.chmod(0o644)
    with pytest.raises(TokenKeyError, match="mode 644"):
        TokenKeyFile(tmp_path).current()
    TokenKeyFile(tmp_path).rotate()
    assert len(TokenKeyFile(tmp_path).current()) == 32


def test_a_password_hash_says_its_parameters_and_verifies_one_password() -> None:
    hashed = passwords.hash_password("pass word", b"salt" * 4)
    assert hashed.startswith("$scrypt$ln=15,r=8,p=3$")
    assert passwords.is_hash(hashed)
    assert passwords.is_hash(passwords.NOBODYS_HASH)
    assert passwords.verify_password("pass word", hashed)
    assert not passwords.verify_password("pass word ", hashed)
    assert not passwords.verify_password("pass word", passwords.NOBODYS_HASH)
