"""What all omsctl commands share: the options that say which server and how to answer, and how errors end."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console

    from omsd.cli.auth_client import AuthClient
    from omsd.cli.bucket_client import BucketClient
    from omsd.cli.client import CallError, ServerAddress
    from omsd.cli.group_client import GroupClient
    from omsd.cli.sync_client import SyncClient
    from omsd.cli.task_client import TaskClient

Result = TypeVar("Result")
AnyClient = TypeVar("AnyClient")


class Exit(IntEnum):
    """Exit codes of omsctl; documented in its help."""

    OK = 0
    TASK_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    NOT_FOUND = 5
    INTERRUPTED = 130


class Output(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"


class UsageError(Exception):
    """The command line or the environment cannot be used; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where a command goes, as whom, and how it answers; every command has these options."""

    server: Annotated[
        str, typer.Option(envvar="OMSCTL_SERVER", help="host:port or unix:/path of the server.")
    ] = "127.0.0.1:7070"
    project: Annotated[
        str, typer.Option(envvar="OMSCTL_PROJECT", help="The project the tasks belong to.")
    ] = "default"
    output: Annotated[Output, typer.Option("--output", "-o", help="How the answer is written.")] = (
        Output.TABLE
    )
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds a call may take.")] = 30.0
    ca_file: Annotated[
        Path | None,
        typer.Option(envvar="OMSCTL_CA_FILE", help="Speak TLS and trust the certificates in this PEM file."),
    ] = None
    cert_file: Annotated[
        Path | None,
        typer.Option(envvar="OMSCTL_CERT_FILE", help="The client certificate to show (PEM)."),
    ] = None
    key_file: Annotated[
        Path | None,
        typer.Option(envvar="OMSCTL_KEY_FILE", help="The key of the client certificate (PEM)."),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="OMSCTL_TOKEN_FILE", help="Where the token is that `omsctl token` gave; else OMSCTL_TOKEN."
        ),
    ] = None

    def client(self) -> TaskClient:
        """A client for `async with`."""
        # grpc takes 100 ms to load; --help does without.
        from omsd.cli.task_client import TaskClient

        return self._connected(TaskClient)

    def sync_client(self) -> SyncClient:
        """A client of synchronization tasks for `async with`."""
        from omsd.cli.sync_client import SyncClient

        return self._connected(SyncClient)

    def group_client(self) -> GroupClient:
        """A client of task groups for `async with`."""
        from omsd.cli.group_client import GroupClient

        return self._connected(GroupClient)

    def _connected(self, make: Callable[..., AnyClient]) -> AnyClient:
        try:
            return make(self._address(), self.project, timeout_s=self.timeout_s)
        except OSError as error:
            raise UsageError(
                f"{self._option_of(error.filename)} {error.filename}: {error.strerror}"
            ) from error

    def _option_of(self, filename: object) -> str:
        """The option that named a file."""
        files = ("ca_file", "cert_file", "key_file", "token_file")
        return next(
            "--" + name.replace("_", "-") for name in files if str(getattr(self, name)) == str(filename)
        )

    def _address(self) -> ServerAddress:
        from omsd.cli.client import ServerAddress

        if (self.cert_file is None) != (self.key_file is None):
            raise UsageError("--cert-file and --key-file are given both or not at all")
        if self.cert_file is not None and self.ca_file is None:
            raise UsageError("--cert-file wants --ca-file: a certificate is shown over TLS only")
        return ServerAddress(self.server, self.ca_file, self.cert_file, self.key_file, self._token())

    def _token(self) -> str:
        """The token of --token-file, else of OMSCTL_TOKEN; "" if there is none."""
        if self.token_file is None:
            token = os.environ.get("OMSCTL_TOKEN", "").strip()
        else:
            token = self.token_file.read_text(encoding="utf-8", errors="replace").strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError("the token is none: wanted is what `omsctl token` prints, and nothing else")
        return token

    def auth_client(self) -> AuthClient:
        """A client that asks for a token, or who it is, for `async with`."""
        from omsd.cli.auth_client import AuthClient

        return self._connected(AuthClient)

    def bucket_client(self) -> BucketClient:
        """A client of questions about buckets and of the catalogue for `async with`."""
        from omsd.cli.bucket_client import BucketClient

        return self._connected(BucketClient)

    def console(self) -> Console:
        """Where progress and tables go."""
        from rich.console import Console

        return Console(highlight=False)

    def say(self, text: str, **fields: object) -> None:
        """The result of a command: the text, or the fields as one JSON object."""
        sys.stdout.write(json.dumps(fields) + "\n" if self.output is Output.JSON else text + "\n")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table as wide as its cells, so that it can be cut and searched."""
        lines = [tuple(headers), *(tuple(row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            sys.stdout.write("  ".join(cells).rstrip() + "\n")

    def page(self, headers: Sequence[str], rows: Sequence[Sequence[str]], *, total: int, what: str) -> None:
        """A table of some of all there are; what is not shown is said on stderr."""
        self.table(headers, rows)
        if total > len(rows):
            complain(f"{len(rows)} of {total} {what} shown; --offset and --limit show others")

    def details(self, rows: Sequence[tuple[str, str]]) -> None:
        """One thing, a line for each name and text."""
        width = max(len(name) for name, _ in rows)
        sys.stdout.writelines(f"{name.ljust(width)}  {text}".rstrip() + "\n" for name, text in rows)

    def wrote_json(self, message: Message) -> bool:
        """True if JSON is wanted: the message has been written, and nothing else is to be."""
        if self.output is not Output.JSON:
            return False
        from omsd.cli import show

        sys.stdout.write(json.dumps(show.to_json(message), ensure_ascii=False) + "\n")
        return True


def command(function: Callable[..., Coroutine[Any, Any, Exit | None]]) -> Callable[..., None]:
    """Make a typer command of `async def function(session, ...)`; errors become exit codes.

    A parameter whose type is a dataclass is a group: the command has an option for each field of it. The session's come last.
    """
    parameters = inspect.signature(function, eval_str=True).parameters
    groups: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if is_dataclass(parameter.annotation):
            groups[name] = parameter.annotation
    options: list[inspect.Parameter] = []
    for name in sorted(parameters, key=lambda name: groups.get(name) is Session):
        options += _options_of(groups[name]) if name in groups else [parameters[name]]

    @functools.wraps(function)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        raise typer.Exit(int(run_async(function(**values))))

    as_keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    # functools.wraps left the function's own signature, which typer would take for the command's.
    run.__signature__ = inspect.Signature(as_keywords)  # type: ignore[attr-defined]  # unknown to the stubs
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=types[field.name],
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
        )
        for field in fields(group)
    ]


def run_async(work: Coroutine[Any, Any, Exit | None]) -> Exit:
    """Run a command to its exit code; what went wrong is on stderr, in lines without a traceback."""
    try:
        return asyncio.run(work) or Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except UsageError as error:
        complain(str(error))
        return Exit.USAGE
    except Exception as error:
        from omsd.cli.client import CallError

        if not isinstance(error, CallError):
            raise
        return _exit_of(error)


def _exit_of(error: CallError) -> Exit:
    if error.violations:
        first, *others = error.violations
        complain(f"{error.code} {first.field}: {first.description}")
        for other in others:  # The code is that of the first.
            complain(f"{other.field}: {other.description}")
    else:
        complain(f"{error.code} {error.message}".strip())
    if error.unreachable:
        return Exit.UNREACHABLE
    return Exit.NOT_FOUND if error.not_found else Exit.REFUSED


def complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"omsctl: {text}\n")


def secret_from(names: Sequence[str], prompt: str) -> str:
    """A secret of the environment, else of a hidden prompt. Raises UsageError where nobody can be asked."""
    for name in names:
        if os.environ.get(name):
            return os.environ[name]
    if not sys.stdin.isatty():
        raise UsageError(
            f"{prompt} is missing: set {' or '.join(names)} (keys are never taken from arguments)"
        )
    answer: str = typer.prompt(prompt, hide_input=True, err=True)
    return answer
