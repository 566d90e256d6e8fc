"""Settings of [notify]: where notices of ended tasks go, and how long they are tried. Read by load.py.

No secret lives here, only the path of a file that holds it; a relative one is below systemd's $CREDENTIALS_DIRECTORY.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from omsd.domain.notices import parse_topic

SMN_URL = "https://smn.{region}.myhuaweicloud.com"


class SmnSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An SMN service whose topics may be named by tasks.

    url: by default that of Huawei Cloud's region. project_id: of the AK or token, and of the topics. access_key with secret_file signs
    (SDK-HMAC-SHA256); token_file holds an X-Auth-Token instead; both are read for each notice. topics: names, empty = all of the project.
    projects: of this server that may use it, empty = all.
    """

    region: str
    url: str = ""
    project_id: str
    access_key: str = ""
    secret_file: Path | None = None
    token_file: Path | None = None
    topics: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()

    @property
    def service_url(self) -> str:
        """url, or the one of Huawei Cloud's region."""
        return self.url or SMN_URL.format(region=self.region)


class TopicSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A topic that is a webhook: notices for the URN are posted to the URL.

    secret_file: holds whsec_ and the base64 of the key that signs. projects: of this server that may use it, empty = all.
    """

    urn: str
    url: str
    secret_file: Path
    projects: tuple[str, ...] = ()


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """deadline_s: of one attempt. give_up_after_s: how long a notice that does not arrive is tried again."""

    deadline_s: Annotated[float, Meta(ge=0.1, le=300)] = 15.0
    give_up_after_s: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    smn: tuple[SmnSettings, ...] = ()
    topic: tuple[TopicSettings, ...] = ()


ENTRIES: Mapping[str, type[msgspec.Struct]] = {"smn": SmnSettings, "topic": TopicSettings}


def entry_faults(entry: SmnSettings | TopicSettings, environ: Mapping[str, str]) -> list[str]:
    """What is wrong with an entry whose values have the right types: `key: what would be right`."""
    return _smn_faults(entry, environ) if isinstance(entry, SmnSettings) else _topic_faults(entry, environ)


def secret_path(path: Path, environ: Mapping[str, str]) -> Path:
    """Where the file is. Raises ValueError if that is below a directory that is not told."""
    if path.is_absolute():
        return path
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise ValueError(
            f"{path} is relative, so it is below $CREDENTIALS_DIRECTORY, which is not set; "
            "name it in LoadCredential= of the unit, or write an absolute path"
        )
    return Path(directory) / path


def _smn_faults(entry: SmnSettings, environ: Mapping[str, str]) -> list[str]:
    faults = []
    try:
        parse_topic(f"urn:smn:{entry.region}:{entry.project_id}:any")
    except ValueError:
        faults.append(
            "region and project_id: must be as in the URN of a topic, urn:smn:<region>:<project_id>:<topic_name>"
        )
    if bool(entry.access_key) != (entry.secret_file is not None):
        faults.append("access_key and secret_file: are given both or not at all")
    elif (entry.secret_file is None) == (entry.token_file is None):
        faults.append("access_key with secret_file, or token_file: one of the two is needed, and not both")
    faults += _url_faults(entry.service_url, path_allowed=False)
    if entry.token_file is not None and urlsplit(entry.service_url).scheme == "http":
        faults.append("url: must begin with https:// where a token is sent")
    for key in ("secret_file", "token_file"):
        faults += _file_faults(key, getattr(entry, key), environ)
    return faults


def _topic_faults(entry: TopicSettings, environ: Mapping[str, str]) -> list[str]:
    faults = []
    try:
        parse_topic(entry.urn)
    except ValueError as error:
        faults.append(f"urn: {error}")
    faults += _url_faults(entry.url, path_allowed=True)
    return faults + _file_faults("secret_file", entry.secret_file, environ)


def _url_faults(url: str, *, path_allowed: bool) -> list[str]:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number in range
    except ValueError as error:
        return [f"url: {error}"]
    if parts.username is not None or parts.password is not None:
        return ["url: must not hold user and password"]
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or " " in url:
        return ["url: must be http(s)://host[:port]" + ("/path" if path_allowed else "")]
    if parts.fragment or (not path_allowed and (parts.path.strip("/") or parts.query)):
        return [
            "url: must be http(s)://host[:port]" + ("/path" if path_allowed else " and nothing behind it")
        ]
    return []


def _file_faults(key: str, path: Path | None, environ: Mapping[str, str]) -> list[str]:
    """A relative path can only be looked at where systemd has told the directory; the daemon insists on it at its start."""
    if path is None or not (path.is_absolute() or environ.get("CREDENTIALS_DIRECTORY")):
        return []
    if not os.access(secret_path(path, environ), os.R_OK):
        return [f"{key}: the file does not exist or cannot be read"]
    return []
