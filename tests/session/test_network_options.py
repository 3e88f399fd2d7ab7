"""What a session is told about its way to the service is checked when the session is made."""

import ssl
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from ximilar_ocr_async import OCRSession, OptionError
from ximilar_ocr_async.testing import InProcessService

LIBRARIES = [httpx, httpx2]

EXPECTED = "expected an instance of httpx.AsyncClient or httpx2.AsyncClient"


def told(**options: Any) -> str:
    """Make a session; return the error that it ends with."""
    with pytest.raises(OptionError) as caught:
        OCRSession("token", **options)
    return str(caught.value)


def closed(library: Any) -> Any:
    """Return a client that was used and closed."""
    client = library.AsyncClient()
    anyio.run(client.aclose)
    return client


# ---- certificates and proxies


@pytest.mark.parametrize(
    "context, kind",
    [
        (True, "a bool"),
        ("ca.pem", "a str"),
        (Path("ca.pem"), f"a pathlib.{type(Path()).__name__}"),
        (ssl.SSLContext, "the class ssl.SSLContext"),
        (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "that of a server"),
    ],
)
def test_certificates_come_in_a_context(context: Any, kind: str) -> None:
    """Neither a path nor a flag is one, and the message says what is expected."""
    expected = "one of a client" if "server" in kind else "an ssl.SSLContext"
    assert told(ssl_context=context) == f"ssl_context is {kind}, expected {expected}"


@pytest.mark.parametrize("url", ["ftp://user:s3cret@proxy", "http://user:s3cret/@proxy", 3128])
def test_a_proxy_is_checked_at_once(url: Any) -> None:
    """What is no proxy is told with what one looks like, and without its password."""
    message = told(proxy=url)
    assert message.startswith("proxy ")
    assert "expected a URL such as http://HOST:PORT" in message
    assert "s3cret" not in message


def test_contexts_and_proxies_are_kept_secret() -> None:
    """What is allowed is taken, and no repr shows the password."""
    context = ssl.create_default_context()
    session = OCRSession("token", ssl_context=context, proxy="socks5h://user:s3cret@proxy")
    assert "s3cret" not in f"{session!r} {vars(session)}"


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "https://user:s3cret@host"},
        {"base_url": "https:user:s3cret@host"},
        {"base_url": "https://user:s3cret/@host"},
        {"proxy": "http://user:s3cret@proxy", "timeout": 0},
        {"proxy": "http://user:s3cret@proxy", "http_client": httpx.AsyncClient()},
        {"proxy": "http://user:s3cret@proxy", "max_records": "many"},
    ],
)
def test_a_session_that_is_not_made_keeps_its_secrets(options: dict[str, Any]) -> None:
    """Neither the message nor a local of the traceback has a password, whatever else is wrong."""
    assert "s3cret" not in told(**options)
    options["token"] = "Token s3cret\n€"
    with pytest.raises(OptionError, match="token is a str that is empty or not all visible ASCII"):
        OCRSession(**options)


@pytest.mark.parametrize(
    "name, value, options",
    [
        ("XIMILAR_BASE_URL", "https://user:s3cret@host", {}),
        ("HTTPS_PROXY", "ftp://user:s3cret@proxy", {}),
        ("HTTPS_PROXY", "http://user:s3cret/@proxy", {}),
        ("SSL_CERT_FILE", "nowhere.pem", {"proxy": "http://user:s3cret@proxy"}),
    ],
)
def test_a_session_that_is_not_entered_keeps_its_secrets(
    name: str, value: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment says wrongly is told of without a password in a traceback."""
    monkeypatch.setenv(name, value)

    async def enter() -> None:
        async with OCRSession("token", **options):
            raise AssertionError

    with pytest.raises(OptionError) as caught:
        anyio.run(enter)
    assert "s3cret" not in str(caught.value)


# ---- clients


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "name, value", [("ssl_context", ssl.create_default_context()), ("proxy", "http://proxy:3128")]
)
def test_a_client_has_its_own_way(library: Any, name: str, value: Any) -> None:
    """Certificates or a proxy beside a client would be for nothing, so that is an error."""
    message = told(http_client=library.AsyncClient(), **{name: value})
    assert message == f"{name} and http_client are both given; a client has its own"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_closed_client_is_refused(library: Any) -> None:
    """A client that cannot send any more is told of before anything is sent with it."""
    assert told(http_client=closed(library)) == "http_client is closed, expected an open one"


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_open_client_is_taken(library: Any) -> None:
    """A client of either library needs nothing else."""
    assert "not entered" in repr(OCRSession("token", http_client=library.AsyncClient()))


@pytest.mark.parametrize(
    "client, name",
    [
        (httpx.Client(), "a httpx.Client"),
        (httpx2.Client(), "a httpx2.Client"),
        (httpx.AsyncClient, "the class httpx.AsyncClient"),
        (httpx2.AsyncClient, "the class httpx2.AsyncClient"),
        (httpx.AsyncHTTPTransport(), "a httpx.AsyncHTTPTransport"),
        (InProcessService(), "a ximilar_ocr_async.testing.in_process.InProcessService"),
        (HTTPSConnection("api.ximilar.com"), "a http.client.HTTPSConnection"),
        ("http://proxy", "a str"),
    ],
)
def test_what_is_no_client_is_refused(client: Any, name: str) -> None:
    """Clients for code without async, classes and other libraries' clients are named."""
    assert told(http_client=client) == f"http_client is {name}, {EXPECTED}"
