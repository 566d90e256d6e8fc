"""`omsctl token` and `omsctl whoami`: a token for the other commands, and whom the server takes the caller for."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from omsd.cli.session import Output, Session, UsageError, command, secret_from


@command
async def token(
    session: Session,
    user: Annotated[str, typer.Option(envvar="OMSCTL_USER", help="Whose token it is to be.")],
    domain: Annotated[str, typer.Option(help="The domain of the user, where names are not enough.")] = "",
    scope: Annotated[
        str, typer.Option(help="Good for this project alone, by id or name; default: all of the user's.")
    ] = "",
    save: Annotated[
        Path | None, typer.Option(help="Write it to this file (mode 0600), for --token-file.")
    ] = None,
) -> None:
    """Get a token for OMSCTL_TOKEN or --token-file. The password comes from OMSCTL_PASSWORD or a hidden prompt."""
    from omsd.pb.v1 import auth_pb2

    password = secret_from(["OMSCTL_PASSWORD"], f"password of {user}")
    request = auth_pb2.CreateTokenRequest(user=user, password=password, domain=domain, project=scope)
    async with session.auth_client() as client:
        made = await client.create_token(request)
    until = datetime.fromtimestamp(made.expires_at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if save is not None:
        _write_private(save, made.token + "\n")
        session.say(f"{save}: good until {until}", token_file=str(save), expires_at=made.expires_at)
    elif session.output is Output.JSON:
        sys.stdout.write(json.dumps({"token": made.token, "expires_at": made.expires_at}) + "\n")
    else:
        sys.stdout.write(made.token + "\n")


@command
async def whoami(session: Session) -> None:
    """Show whom the server takes you for, and what you may do in which project."""
    async with session.auth_client() as client:
        caller = await client.caller()
    if session.wrote_json(caller):
        return
    if caller.method == "none":
        sys.stdout.write("this server asks nobody who he is\n")
        return
    sys.stdout.write(f"{caller.user} of {caller.domain}, by {caller.method}\n")
    rows = [(grant.project_id, grant.name, grant.role) for grant in caller.projects]
    session.table(("PROJECT", "NAME", "ROLE"), rows)


def _write_private(path: Path, text: str) -> None:
    """The file holds the text and is its owner's alone, also if it was there with another mode."""
    aside = path.with_name(path.name + ".new")
    try:
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        aside.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
