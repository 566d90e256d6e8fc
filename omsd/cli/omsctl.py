"""`omsctl`: the client of the daemon. It speaks gRPC and knows nothing else of it."""

from __future__ import annotations

import os

import typer

from omsd import __version__
from omsd.cli import auth, bucket, catalog, group, sync, task

HELP = """Order and watch migrations of an omsd server.

\b
Exit codes:
  0    done
  1    the task or task group that was watched failed
  2    wrong usage of the command line
  3    the server cannot be reached
  4    the server refused: bad request, wrong state, quota, not allowed; or a CDN does not give all objects as they are
  5    there is no such task, or task group
  130  interrupted with Ctrl-C (what was watched goes on)
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(task.app, name="task")
app.add_typer(group.app, name="group")
app.add_typer(sync.app, name="sync")
app.add_typer(bucket.app, name="bucket")
app.command("clouds")(catalog.clouds)
app.command("regions")(catalog.regions)
app.command("quotas")(catalog.quotas)
app.command("token")(auth.token)
app.command("whoami")(auth.whoami)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"omsctl {__version__}")


def run() -> None:
    """The console script."""
    # The library writes lost connections to stderr by itself; the commands say it in their own words.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    app(prog_name="omsctl")
