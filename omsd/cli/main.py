"""`omsd`: the daemon's own commands."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from omsd import __version__

if TYPE_CHECKING:
    from omsd.config import Settings

HELP = """A self-hosted object storage migration service.

\b
Every key of the configuration can be set by OMSD_SECTION__KEY of the environment, like OMSD_SERVER__WORKERS=4.
Flags win over the environment, the environment over the file.
\b
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
"""

FAILED = 1
CONFIG_ERROR = 2

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="OMSD_CONFIG", help="The configuration file (TOML).")
]
ListenOption = Annotated[str | None, typer.Option(help="host:port or unix:/path of the gRPC API.")]
StateDirOption = Annotated[Path | None, typer.Option(help="Where tasks and keys are kept.")]
WorkersOption = Annotated[int | None, typer.Option(help="Worker processes; 0 is one per core.")]
LevelOption = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
FormatOption = Annotated[str | None, typer.Option(help="auto, json or text.")]


@app.command()
def serve(
    config: ConfigOption = None,
    grpc_listen: ListenOption = None,
    state_dir: StateDirOption = None,
    workers: WorkersOption = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Run the daemon: the first SIGTERM or Ctrl-C drains, the second cuts."""
    settings = _settings(config, grpc_listen, state_dir, workers, log_level, log_format)
    # Nothing of what is being loaded is garbage: looking for some takes a tenth of the start.
    gc.disable()
    # The daemon and all it needs are loaded only here; the other commands stay quick.
    from omsd.cli.serve import serve as run_daemon

    gc.freeze()
    gc.enable()
    raise typer.Exit(run_daemon(settings))


@app.command()
def check_config(
    config: ConfigOption = None,
    grpc_listen: ListenOption = None,
    state_dir: StateDirOption = None,
    workers: WorkersOption = None,
    log_level: LevelOption = None,
    log_format: FormatOption = None,
) -> None:
    """Print the settings `serve` would run with, as TOML; exit code 2 if they cannot be used."""
    from omsd.config import dump_settings

    settings = _settings(config, grpc_listen, state_dir, workers, log_level, log_format)
    _check_users(settings)
    sys.stdout.write(dump_settings(settings))


@app.command()
def hash_password() -> None:
    """Print the hash of a password for the users file. The password comes from OMSD_PASSWORD or a hidden prompt, asked twice."""
    from omsd.domain import passwords

    password = os.environ.get("OMSD_PASSWORD", "")
    if not password:
        if not sys.stdin.isatty():
            _fail("the password is missing: set OMSD_PASSWORD (passwords are never taken from arguments)")
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not 8 <= len(password) <= passwords.PASSWORD_MAX:
        _fail(f"a password has 8 to {passwords.PASSWORD_MAX} characters")
    typer.echo(passwords.hash_password(password, secrets.token_bytes(passwords.SALT_BYTES)))


@app.command()
def rotate_token_key(config: ConfigOption = None, state_dir: StateDirOption = None) -> None:
    """End every token there is: make a new key for them. A running daemon takes it at once."""
    from omsd.accounts.keyfile import TokenKeyError, TokenKeyFile

    settings = _settings(config, None, state_dir, None, None, None)
    try:
        TokenKeyFile(settings.server.state_dir).rotate()
    except TokenKeyError as error:
        sys.stderr.write(f"omsd: {error}\n")
        raise typer.Exit(FAILED) from error
    typer.echo("all tokens have ended")


@app.command()
def demo() -> None:
    """Migrate a bucket between real S3 servers on this machine, and compare both ends."""
    from omsd.demo.main import run_demo

    raise typer.Exit(run_demo())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"omsd {__version__}")


def _check_users(settings: Settings) -> None:
    """Exit with the problems of the users file, if it has any."""
    from omsd.accounts.usersfile import UsersFileError, read_accounts

    if settings.auth.users_file is None:
        return
    try:
        read_accounts(settings.auth.users_file, os.environ.get("CREDENTIALS_DIRECTORY", ""))
    except UsersFileError as error:
        _fail(*error.problems)


def _fail(*problems: str) -> NoReturn:
    for problem in problems:
        sys.stderr.write(f"omsd: {problem}\n")
    raise typer.Exit(CONFIG_ERROR)


def _settings(
    config: Path | None,
    grpc_listen: str | None,
    state_dir: Path | None,
    workers: int | None,
    log_level: str | None,
    log_format: str | None,
) -> Settings:
    from omsd.config import ConfigError, load_settings

    flags = {
        "server.grpc_listen": grpc_listen,
        "server.state_dir": str(state_dir) if state_dir is not None else None,
        "server.workers": workers,
        "log.level": log_level,
        "log.format": log_format,
    }
    try:
        return load_settings(config, overrides=flags)
    except ConfigError as error:
        _fail(*error.problems)


def run() -> None:
    """The console script."""
    app(prog_name="omsd")
