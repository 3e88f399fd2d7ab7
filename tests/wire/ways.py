"""W2, W3, W9 and W10: outages behind proxies, forward proxies, and addresses that are wrong."""

import itertools
from collections.abc import Iterator
from functools import cache
from ssl import PROTOCOL_TLS_CLIENT, SSLContext, TLSVersion
from typing import Any

import anyio

from tests.faults.case import LIBRARIES
from tests.faults.certificates import OURS, authority
from tests.wire.backend import serves
from tests.wire.case import Case, Step, Trial, links
from tests.wire.checks import (
    all_fail,
    all_read,
    no_token_overheard,
    none_for_nothing,
    none_untold,
    one_request_a_slot,
    within,
)
from tests.wire.configurations import APACHE, CADDY, VARNISH, haproxy, nginx, squid, tinyproxy
from tests.wire.programs import Program
from ximilar_ocr_async import AddressError

PLAIN = "http://127.0.0.1:{port}"

AT_ONCE = 10.0
"""[s] that are far less than an outage may take."""


def away(seconds: float) -> Step:
    """Have the service go away for so many *seconds* [s] once it has served some requests."""

    async def step(trial: Trial) -> None:
        while trial.backend.requests < 20:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.005)
        await trial.backend.go()
        await anyio.sleep(seconds)
        trial.backend.come()

    return step


def outages() -> Iterator[Case]:
    """Have the service go away behind proxies."""
    for number, front in enumerate((nginx(), haproxy(), CADDY, VARNISH, APACHE), start=1):
        yield (
            Case(f"W2.{number}", f"service away for 1.5 s, {front.name}")
            .promises("a pause: read, none marked for nothing")
            .given(serves(0.1), behind=front)
            .when(images=links(800, 2_000), meanwhile=away(1.5))
            .then(all_read, none_untold, none_for_nothing)
        )
    yield (
        Case("W2.6", "service away for 1.5 s, haproxy that tries again for 3 s")
        .promises("read, none marked for nothing")
        .given(serves(0.1), behind=haproxy(retries=3))
        .when(images=links(800, 2_000), meanwhile=away(1.5))
        .then(all_read, none_untold, none_for_nothing)
    )


def tunnels() -> Iterator[Case]:
    """Go through forward proxies."""
    number = 0
    for proxy in (tinyproxy(), squid()):
        for library in LIBRARIES:
            number += 1
            yield (
                Case(f"W3.{number}", f"service away for 1.5 s, through {proxy.name}, {library}")
                .promises("a pause: read through tunnels, and no token outside of them")
                .given(serves(0.1), through=proxy, tls=True)
                .when(images=links(800, 2_000), meanwhile=away(1.5), library=library)
                .then(all_read, none_untold, none_for_nothing, no_token_overheard)
            )
    refusals = {
        "407 of tinyproxy": tinyproxy("BasicAuth user password"),
        "403 of tinyproxy": tinyproxy("ConnectPort 443"),
        "403 of squid": squid("deny"),
    }
    for fault, proxy in refusals.items():
        for library in LIBRARIES:
            number += 1
            yield (
                Case(f"W3.{number}", f"{fault} to CONNECT, {library}")
                .promises("AddressError at once")
                .given(through=proxy, tls=True)
                .when(images=links(600), library=library)
                .then(
                    all_fail(AddressError), one_request_a_slot, within(AT_ONCE), no_token_overheard
                )
            )


@cache
def modern() -> SSLContext:
    """Return a client's context that wants TLS 1.3."""
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.minimum_version = TLSVersion.TLSv1_3
    authority(OURS).configure_trust(context)
    return context


def hopeless(id_: str, fault: str, front: Program, **when: Any) -> Case:
    """Meet a front of which nothing can be had, however often it is asked."""
    return (
        Case(id_, fault)
        .promises("AddressError at once: nothing split, no outage")
        .given(behind=front)
        .when(images=links(600), **when)
        .then(all_fail(AddressError), one_request_a_slot, within(AT_ONCE))
    )


def alerts() -> Iterator[Case]:
    """Fail to shake hands, in ways that never change."""
    refusals = {
        "nginx knows no TLS 1.3": nginx("ssl_protocols TLSv1.2;", tls=True),
        "nginx knows no such name": nginx("ssl_reject_handshake on;", tls=True),
    }
    places = itertools.product(refusals.items(), LIBRARIES)
    for number, ((fault, front), library) in enumerate(places, start=1):
        yield hopeless(
            f"W10.{number}", f"{fault}, {library}", front, trusts=modern, library=library
        )


WAYS = [
    *outages(),
    *tunnels(),
    hopeless("W9.1", "plain http to a TLS port of nginx", nginx(tls=True), url=PLAIN),
    hopeless("W9.2", "400 of haproxy, in HTML", haproxy("http-request deny deny_status 400")),
    *alerts(),
]
