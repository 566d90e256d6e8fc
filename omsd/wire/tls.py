"""TLS contexts: always verified unless somebody says otherwise in so many words."""

from __future__ import annotations

import ssl


def make_tls_context(*, ca_file: str = "", verify: bool = True) -> ssl.SSLContext:
    """A client context for TLS 1.2 and newer.

    ca_file: PEM file of the only trusted authorities; "" = those of the system. verify=False accepts any certificate.
    Raises OSError or ssl.SSLError if the file cannot be read as certificates.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
