"""Who may ask the service: this machine under its own names, and no web page."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.emulator.callers import LOCAL, Callers
from ximilar_ocr_async.errors import OptionError


def code(callers: Callers, *hosts: str, **headers: str) -> int | None:
    """Return the code with which a request is refused; None if it is not."""

    def values(name: str) -> Sequence[str]:
        return hosts if name == "host" else [headers[name]] if name in headers else []

    refusal = callers.refusal(values)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8000",
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.1.2.3:1",
        "[::1]",
        "[::1]:65535",
        "[0:0:0:0:0:0:0:1]:8000",
    ],
)
def test_this_machine_is_known_by_its_loopback_names(host: str) -> None:
    """Localhost and the loopback addresses are let in, with any port and without."""
    assert code(LOCAL, host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "evil.localhost",
        "localhost.",
        "localhost:",
        "localhost:port",
        "localhost:8000:8000",
        "localhost, evil.example",
        "localhost/",
        " localhost",
        "user@localhost",
        "evil.example@localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:8000",
        "128.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "10.0.0.1",
        "::1",
        "[::]",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "[localhost]",
        "[::1",
        "localho\u017ft",
        "\uff11\uff12\uff17.0.0.1",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    """What another name leads here may be a web page, so it gets nothing."""
    assert code(LOCAL, host) == 421


@given(name=st.from_regex(r"[a-z0-9.-]*", fullmatch=True) | st.text())
def test_only_names_of_this_machine_are_let_in(name: str) -> None:
    """Whatever a host is called, it is local or refused."""
    is_local = name == "localhost" or (name.startswith("127.") and name.count(".") == 3)
    assert (code(LOCAL, name) is None) <= is_local


@pytest.mark.parametrize("hosts", [(), ("localhost", "localhost"), ("localhost", "evil.example")])
def test_a_request_names_one_host(hosts: tuple[str, ...]) -> None:
    """Without a host, or with two, it is not known who is meant."""
    assert code(LOCAL, *hosts) == 421


def test_more_names_can_be_allowed() -> None:
    """Names of the user's choice are let in beside the loopback ones, in any case and port."""
    callers = Callers(["Box.Example", "host.docker.internal", "[fd00::1]", "10.0.0.7"])
    for host in ("box.example:8000", "BOX.example", "host.docker.internal", "[FD00::1]:1"):
        assert code(callers, host) is None
    assert code(callers, "localhost") is code(callers, "10.0.0.7:80") is None
    assert code(callers, "evil.example") == code(callers, "x.box.example") == 421


@pytest.mark.parametrize("name", ["", "a b", "box:80", "http://box", "fd00::1", "box/"])
def test_a_name_that_is_none_is_told(name: str) -> None:
    """An option that could never match is an error that shows it."""
    with pytest.raises(OptionError) as caught:
        Callers([name])
    assert str(caught.value) == f"{name!r} is not the name of a host, expected one without a port"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:8000", "null", ""])
def test_web_pages_are_refused(origin: str) -> None:
    """A request with an origin is that of a page, even of one that was served on this machine."""
    assert code(LOCAL, "localhost", origin=origin) == 403


@pytest.mark.parametrize("site, refused", [("none", None), ("cross-site", 403), ("same-site", 403)])
def test_what_a_page_leads_to_is_refused(site: str, refused: int | None) -> None:
    """Links and pictures of a page are refused, and an address that the user typed is not."""
    assert code(LOCAL, "localhost", **{"sec-fetch-site": site}) == refused
    assert code(LOCAL, "localhost", **{"sec-fetch-site": "same-origin"}) == 403
