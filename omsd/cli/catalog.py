"""`omsctl clouds`, `regions` and `quotas`: what the server knows and allows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from omsd.cli.session import Session, command


class End(StrEnum):
    """Which end of a task a cloud is at, in the words of the API."""

    SOURCE = "src"
    DESTINATION = "dst"


@command
async def clouds(
    session: Session,
    end: Annotated[
        End, typer.Option("--type", help="Clouds that can be source or destination.")
    ] = End.SOURCE,
) -> None:
    """List the clouds, and whether this server can use them."""
    async with session.bucket_client() as client:
        found = await client.clouds(end.value)
    if not session.wrote_json(found):
        rows = [(info.cloud_type, "yes" if info.is_supported else "not yet") for info in found.clouds]
        session.table(("CLOUD", "SUPPORTED"), rows)


@command
async def regions(
    session: Session,
    cloud: Annotated[str | None, typer.Argument(metavar="[CLOUD]", help="Only this cloud.")] = None,
) -> None:
    """List the regions of each cloud: those built in and those configured."""
    async with session.bucket_client() as client:
        found = await client.regions(cloud)
    if not session.wrote_json(found):
        rows = [
            (region.cloud_type, region.value, region.description, region.endpoint or "no driver yet")
            for entry in found.clouds
            for region in entry.region_list
        ]
        session.table(("CLOUD", "REGION", "NAME", "ENDPOINT"), rows)


@command
async def quotas(session: Session) -> None:
    """Show the limits, and how much of them is used."""
    async with session.bucket_client() as client:
        found = await client.quotas()
    if not session.wrote_json(found):
        rows = [
            (entry.type, str(entry.used), str(entry.quota) if entry.quota else "-", entry.description)
            for entry in found.quotas
        ]
        session.table(("QUOTA", "USED", "LIMIT", "OF WHAT"), rows)
