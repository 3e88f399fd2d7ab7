"""Certificates and the authorities that sign them, for servers that speak TLS."""

from datetime import UTC, datetime, timedelta
from functools import cache
from ssl import (
    ALERT_DESCRIPTION_UNRECOGNIZED_NAME,
    CERT_REQUIRED,
    PROTOCOL_TLS_CLIENT,
    PROTOCOL_TLS_SERVER,
    SSLContext,
)

import trustme

OURS, ANOTHER = "ours", "another"
"""Names of authorities: the one that signs for the servers here, and one that does not."""


@cache
def authority(name: str) -> trustme.CA:
    """Return an authority for certificates."""
    return trustme.CA(organization_name=name)


@cache
def trust(name: str) -> SSLContext:
    """Return a client's context that trusts this authority and no other."""
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    authority(name).configure_trust(context)
    return context


@cache
def identity(*names: str, expired: bool = False) -> SSLContext:
    """Return a server's context with a certificate for hosts of these *names*, or for this one."""
    return _issue(*names, expired=expired)


@cache
def nameless() -> SSLContext:
    """Return a server's context that knows none of the names that it is asked for."""
    context = _issue("localhost")
    context.sni_callback = lambda *_: ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    return context


@cache
def demanding() -> SSLContext:
    """Return a server's context that demands a certificate of its clients."""
    context = _issue()
    authority(OURS).configure_trust(context)
    context.verify_mode = CERT_REQUIRED
    return context


def _issue(*names: str, expired: bool = False) -> SSLContext:
    now = datetime.now(UTC)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    until = now - timedelta(days=1) if expired else None
    certificate = authority(OURS).issue_cert(
        *(names or ["127.0.0.1"]), not_before=now - timedelta(days=9), not_after=until
    )
    certificate.configure_cert(context)
    return context
