"""What is wrong with values of the right type: one by one, and together."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from omsd.config.settings import AUTH_METHODS, Settings, TlsSettings
from omsd.config.values import LOOPBACK, ConfigError, is_local, is_zone, parse_bandwidth


def check_value(section: str, key: str, value: Any) -> None:
    """Raise ValueError if a value of the right type cannot be meant."""
    match f"{section}.{key}":
        case "server.grpc_listen" | "server.rest_listen" | "sync.events_listen":
            _check_listen(value)
        case "server.time_zone":
            if not is_zone(value):
                close = difflib.get_close_matches(value, sorted(available_timezones()), n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ", like 'Europe/Berlin' or 'UTC'"
                raise ValueError("not an IANA time zone" + hint)
        case "limits.machine_bandwidth" if value is not None:
            parse_bandwidth(value)
        case "server.regions":
            _check_regions(value)
        case "network.allow_private":
            for entry in value:
                _check_network(entry)
        case "auth.methods":
            _check_methods(value)
        case (
            "network.ca_file"
            | "tls.cert_file"
            | "tls.key_file"
            | "tls.client_ca_file"
            | "auth.users_file"
            | "sync.events_cert_file"
            | "sync.events_key_file"
        ):
            if value is not None and not os.access(value, os.R_OK):
                raise ValueError("the file does not exist or cannot be read")
        case _:
            pass


def _check_listen(listen: str | None) -> None:
    """Raises ValueError if it is no address."""
    if listen is None:
        return
    if listen.startswith("unix:"):
        if not listen.removeprefix("unix:").strip("/"):
            raise ValueError("unix: wants the path of a socket, like unix:/run/omsd/omsd.sock")
        return
    host, separator, port = listen.rpartition(":")
    host = host.strip("[]")
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("must be host:port, like 127.0.0.1:7070, or unix:/path")


def _check_regions(regions: tuple[str, ...]) -> None:
    if any(not region or len(region) > 100 for region in regions):
        raise ValueError("a region has 1 to 100 characters")


def _check_methods(methods: tuple[str, ...]) -> None:
    for method in methods:
        if method not in AUTH_METHODS:
            raise ValueError(f"{method!r} is none of {', '.join(AUTH_METHODS)}")


def _check_network(entry: str) -> None:
    if entry == LOOPBACK:
        return
    try:
        ipaddress.ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{error}; wanted is a network like 10.0.0.0/8, or 'loopback'") from error


def url_fault(url: str) -> str:
    """What is wrong with an endpoint's URL, "" if nothing."""
    wanted = "wanted is http(s)://host[:port] and nothing behind it"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number in range
    except ValueError as error:
        return f"{error}; {wanted}"
    if parts.username is not None or parts.password is not None:
        return "keys do not belong into the configuration; they come with each task"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return wanted
    return wanted if parts.path.strip("/") or parts.query or parts.fragment else ""


def check_together(settings: Settings) -> None:
    """Raise ConfigError for values that are right alone and wrong together."""
    problems = (*_pair_problems(settings), *_tls_problems(settings.tls), *_auth_problems(settings))
    if problems:
        raise ConfigError(problems)


def _pair_problems(settings: Settings) -> Iterator[str]:
    tls, sync = settings.tls, settings.sync
    pairs = (
        ("[tls]", "cert_file", tls.cert_file, "key_file", tls.key_file),
        ("[sync]", "events_cert_file", sync.events_cert_file, "events_key_file", sync.events_key_file),
    )
    for section, cert, cert_file, key, key_file in pairs:
        if (cert_file is None) != (key_file is None):
            missing = key if key_file is None else cert
            yield f"{section} {missing} is missing: {cert} and {key} are given both or not at all"


def _tls_problems(tls: TlsSettings) -> Iterator[str]:
    if tls.client_ca_file is not None and tls.cert_file is None and tls.key_file is None:
        yield "[tls] client_ca_file is given without cert_file and key_file: callers show certificates to a server that has one"


def _auth_problems(settings: Settings) -> Iterator[str]:
    auth = settings.auth
    for key in ("grpc_listen", "rest_listen"):
        listen = getattr(settings.server, key)
        if listen is not None and not auth.methods and not is_local(listen):
            yield (
                f'[server] {key} = "{listen}": other machines can connect there, so callers must prove who they '
                "are: set [auth] methods and users_file, or listen on a loopback address (127.0.0.1, [::1], localhost) or unix:/path"
            )
    if auth.methods and auth.users_file is None:
        yield "[auth] users_file is missing: with methods it says who may call"
    if auth.users_file is not None and not auth.methods:
        yield f"[auth] methods is missing: users_file has an effect only with some of {', '.join(AUTH_METHODS)}"
    if "certificate" in auth.methods and settings.tls.client_ca_file is None:
        yield "[tls] client_ca_file is missing: [auth] methods has 'certificate', and it says whose certificates are good"
