"""`omsctl bucket ...`: look into buckets before a task is made. Nothing is changed or stored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from omsd.cli.options import BUCKET_CLOUDS
from omsd.cli.session import Exit, Session, command, complain
from omsd.domain.model import CloudType

app = typer.Typer(
    no_args_is_help=True, help="Look into buckets before a task is made.", rich_markup_mode=None
)

KEYS_HELP = (
    "Keys come from OMSCTL_SRC_AK, OMSCTL_SRC_SK, OMSCTL_SRC_TOKEN, else from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
    "AWS_SESSION_TOKEN, else from a hidden prompt; never from arguments."
)
_MOST_ON_A_PAGE = 100

BucketArgument = Annotated[str, typer.Argument(metavar="BUCKET", help="s3://bucket")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a question is asked."""

    cloud: Annotated[
        str,
        typer.Option(help=f"Cloud of the bucket; AWS for any S3-compatible service. One of {BUCKET_CLOUDS}."),
    ] = CloudType.AWS
    region: Annotated[str | None, typer.Option(help="Region of the bucket.")] = None
    endpoint: Annotated[str | None, typer.Option(help="URL of the service, instead of the region's own.")] = (
        None
    )
    app_id: Annotated[str | None, typer.Option(help="APPID of a Tencent account.")] = None

    def fields(self, region_field: str) -> dict[str, Any]:
        """The fields every question has, with the keys of the environment; what was not given is left out."""
        from omsd.cli.request import keys_from_environment

        keys = keys_from_environment("SRC")
        found = {
            "cloud_type": self.cloud,
            "ak": keys.access_key,
            "sk": keys.secret_key,
            "security_token": keys.security_token or None,
            "endpoint": self.endpoint,
            "app_id": self.app_id,
            region_field: self.region,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyPlace(Place):
    """Where a question is asked that is not about the region of a bucket."""

    region: Annotated[
        str | None, typer.Option(help="Region whose service is asked; by default one that knows all buckets.")
    ] = None


@app.command("list", epilog=KEYS_HELP)
@command
async def list_(
    session: Session,
    place: AnyPlace,
) -> None:
    """List the buckets of the account."""
    from omsd.pb.v1 import bucket_pb2

    async with session.bucket_client() as client:
        found = await client.buckets(bucket_pb2.ListBucketsRequest(**place.fields("region")))
    if not session.wrote_json(found):
        sys.stdout.writelines(f"{name}\n" for name in found.buckets)


@app.command("objects", epilog=KEYS_HELP)
@command
async def objects(
    session: Session,
    location: Annotated[str, typer.Argument(metavar="FOLDER", help="s3://bucket or s3://bucket/folder/")],
    place: Place,
    limit: Annotated[int, typer.Option(min=1, help="How many entries at most.")] = 1000,
    behind: Annotated[str, typer.Option(help="Only what is listed behind this name.")] = "",
) -> None:
    """List one level of a bucket: its objects and folders."""
    from omsd.cli.request import split_location
    from omsd.pb.v1 import bucket_pb2

    bucket, path = split_location(location)
    fields = place.fields("data_center")
    told = bucket_pb2.ListBucketObjectsResponse()
    async with session.bucket_client() as client:
        while len(told.records) < limit:
            page = await client.objects(
                bucket_pb2.ListBucketObjectsRequest(
                    bucket_name=bucket,
                    file_path=path,
                    behind_filename=behind,
                    page_size=min(limit - len(told.records), _MOST_ON_A_PAGE),
                    **fields,
                )
            )
            told.records.extend(page.records)
            told.next_page = page.next_page
            told.ClearField("next_marker")
            if not page.next_page:
                break
            behind = told.next_marker = page.next_marker
    if session.wrote_json(told):
        return
    session.table(("SIZE", "NAME"), [(record.size, record.name) for record in told.records])
    if told.next_page:
        complain(f"there is more; --behind {told.next_marker!r} shows what follows, --limit more at once")


@app.command("region", epilog=KEYS_HELP)
@command
async def region_(
    session: Session,
    location: BucketArgument,
    place: AnyPlace,
) -> None:
    """Say which region a bucket is in."""
    from omsd.cli.request import split_location
    from omsd.pb.v1 import bucket_pb2

    bucket, _ = split_location(location)
    fields = place.fields("region")
    async with session.bucket_client() as client:
        found = await client.region(bucket_pb2.GetBucketRegionRequest(bucket_name=bucket, **fields))
    if not session.wrote_json(found):
        note = "" if found.support else "; this server knows no endpoint for it"
        sys.stdout.write(f"{found.id} ({found.name}){note}\n")


@app.command("prefix", epilog=KEYS_HELP)
@command
async def prefix(
    session: Session,
    location: Annotated[str, typer.Argument(metavar="PREFIX", help="s3://bucket/prefix")],
    place: Place,
) -> None:
    """Say whether any key begins with a prefix."""
    from omsd.cli.request import split_location
    from omsd.pb.v1 import bucket_pb2

    bucket, name = split_location(location)
    fields = place.fields("data_center")
    async with session.bucket_client() as client:
        found = await client.prefix(
            bucket_pb2.CheckPrefixRequest(bucket_name=bucket, file_name=name, **fields)
        )
    if not session.wrote_json(found):
        sys.stdout.write("it exists\n" if found.exist else "there is no such key\n")


@app.command("cdn", epilog=KEYS_HELP)
@command
async def cdn(
    session: Session,
    location: BucketArgument,
    domain: Annotated[str, typer.Argument(metavar="URL", help="http://domain or https://domain of the CDN.")],
    place: Place,
    key: Annotated[
        list[str] | None, typer.Option(help="A key to fetch; by default a few of the first. Repeatable.")
    ] = None,
) -> Exit:
    """Fetch keys through a CDN and compare them with the bucket's; exit code 4 if not all are the same."""
    from omsd.cli.request import split_location
    from omsd.pb.v1 import bucket_pb2, types_pb2

    bucket, _ = split_location(location)
    protocol, _, host = domain.rpartition("://")
    request = bucket_pb2.GetCdnInfoRequest(
        bucket=bucket,
        prefix=bucket_pb2.PrefixKeyInfo(keys=key) if key else None,
        source_cdn=types_pb2.SourceCdnReq(
            protocol=protocol or "https", domain=host.removesuffix("/"), authentication_type="NONE"
        ),
        **place.fields("region"),
    )
    async with session.bucket_client() as client:
        info = await client.cdn_info(request)
    if not session.wrote_json(info):
        rows = [(entry.key, "same" if entry.is_etag_matching else entry.note) for entry in info.checked_keys]
        session.table(("KEY", "THROUGH THE CDN"), rows)
    return Exit.OK if info.is_download_available else Exit.REFUSED


@app.command("url-list", epilog=KEYS_HELP)
@command
async def url_list(
    session: Session,
    location: Annotated[str, typer.Argument(metavar="FILE", help="s3://bucket/list.txt")],
    place: Place,
    check: Annotated[int, typer.Option(min=0, max=100, help="How many of its URLs are asked for.")] = 5,
) -> Exit:
    """Check a URL list file and some of its URLs; exit code 4 if a task could not use it."""
    from omsd.cli.request import split_location
    from omsd.pb.v1 import bucket_pb2, types_pb2

    bucket, name = split_location(location)
    request = bucket_pb2.CheckUrlListRequest(
        list_file=types_pb2.ListFile(obs_bucket=bucket, list_file_key=name),
        check_num=check,
        **place.fields("region"),
    )
    async with session.bucket_client() as client:
        found = await client.url_list(request)
    if not session.wrote_json(found):
        session.table(("URL", "ANSWER"), [(url.url, url.note or "available") for url in found.checked_urls])
        for line in found.bad_lines:
            complain(f"line at byte {line.offset}: {line.reason}")
        if not found.is_valid:
            complain(f"{found.error_reason.error_code} {found.error_reason.error_msg}")
    usable = found.is_valid and all(url.is_available for url in found.checked_urls)
    return Exit.OK if usable else Exit.REFUSED
