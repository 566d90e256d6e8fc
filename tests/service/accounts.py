"""Users that tests of access share. The hashes cost next to nothing: their own parameters say so."""

from __future__ import annotations

from omsd.domain.access import AccessKey, Accounts, Grant, Project, Role, User
from omsd.domain.passwords import hash_password

NOW_S = 1_700_000_000.0
P1 = Project("p1", "eu-west-101", "acme")
P2 = Project("p2", "eu-west-102", "acme")
PASSWORD = "correct horse"


def cheap_hash(password: str) -> str:
    return hash_password(password, b"0123456789abcdef", log_n=4, block_size=1, parallel=1)


MARIA = User(
    "maria",
    "acme",
    cheap_hash(PASSWORD),
    (Grant(P1, Role.OPERATOR), Grant(P2, Role.READ_ONLY)),
    (
        AccessKey("MARIAAK", "MARIASK"),
        AccessKey("TEMPAK", "TEMPSK", "SECURITYTOKEN", NOW_S + 3600),
    ),
    ("maria@acme.example",),
)
ROOT = User("root", "acme", cheap_hash("root password"), (Grant(P1, Role.ADMIN), Grant(P2, Role.ADMIN)))
NOBODY = User("nobody", "acme", cheap_hash("no password"), (), (AccessKey("NOAK", "NOSK"),), ("nobody",))
ACCOUNTS = Accounts.of((P1, P2), (MARIA, ROOT, NOBODY))
