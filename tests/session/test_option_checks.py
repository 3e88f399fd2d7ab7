"""Every option is checked for what it is before anything is sent, whatever its door."""

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import urlparse, urlsplit

import httpx
import numpy as np
import pytest
import yarl
from attrs import frozen
from pydantic import AnyUrl, HttpUrl

from ximilar_ocr_async import (
    Image,
    OCRSession,
    OptionError,
    RetryPolicy,
    Webhook,
    WebhookReceiver,
    estimate,
)
from ximilar_ocr_async.testing import InProcessService

URL = "https://x.example/a.jpg"
SECRET = "s3cret"


class Evil:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@frozen
class Note:
    """What an image says."""

    text: str


NO_NUMBERS: list[Any] = [
    *(True, False, "3", b"3", "", [3], {}, math.nan, -math.inf, -1, 3j, int, Evil(), object()),
    *(Decimal(3), Fraction(3), np.int64(3), np.bool_(True), timedelta(seconds=3)),  # noqa: FBT003
]
"""What is no number for any option, whatever it seems to be."""

COUNTS: dict[str, list[Any]] = {
    "max_concurrency": [0, None, 1.0, math.inf],
    "max_batch_records": [0, 11, None, 1.0, math.inf, 10**100],
    "max_batch_bytes": [0, None, 1.5],
    "max_response_bytes": [0, None, 1.5],
    "max_records": [1.0, math.inf],
    "max_queue": [1.0, math.inf],
}
SECONDS: dict[str, list[Any]] = {
    "linger": [None, math.inf],
    "timeout": [0, 0.0, None, math.inf, 10**400, httpx.Timeout(3)],
    "deadline": [math.inf, 10**400],
    "drain": [None, math.inf],
    "outage_timeout": [None, 10**400],
    "max_requests_per_second": [0, math.inf],
}
POLICY: dict[str, list[Any]] = {
    "attempts": [0, None, 1.0, math.inf],
    "base": [None, math.inf],
    "cap": [None, math.inf, 10**400],
    "resend_maybe_billed": [None, 1.0],
}


def cases(options: dict[str, list[Any]]) -> list[Any]:
    """Return each option with each value that it refuses."""
    return [
        pytest.param(name, value, id=f"{name}-{number}")
        for name, own in options.items()
        for number, value in enumerate([*NO_NUMBERS, *own])
    ]


def message(make: Callable[[], object]) -> str:
    """Return what is said of an option that is refused."""
    with pytest.raises(OptionError) as caught:
        make()
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 700
    return said


# ---- options of a session


@pytest.mark.parametrize("name, value", cases(COUNTS | SECONDS))
def test_what_is_no_such_number_is_refused(name: str, value: Any) -> None:
    """The message names the option, the value and what would do."""
    said = message(lambda: OCRSession("token", **{name: value}))
    assert said.startswith(f"{name} is ")
    assert "number" in said.partition(", expected a ")[2]


@pytest.mark.parametrize("name, value", cases(POLICY))
def test_a_policy_is_made_of_numbers(name: str, value: Any) -> None:
    """As the options of a session are."""
    assert message(lambda: RetryPolicy(**{name: value})).startswith(f"{name} is ")


@pytest.mark.parametrize(
    "value, hint",
    [
        (np.int64(3), "; pass int(...)"),
        (Decimal(3), "; pass int(...)"),
        (timedelta(seconds=3), "; pass its total_seconds()"),
        ("3", "at least 1"),
        (int, "at least 1"),
    ],
)
def test_a_number_of_another_library_is_told_how_to_be_passed(value: Any, hint: str) -> None:
    """What has the value of a number is refused with the way to make it one."""
    assert message(lambda: OCRSession("token", max_concurrency=value)).endswith(hint)


def test_a_float_of_another_library_is_told_so_too() -> None:
    """For seconds the way is another."""
    value: Any = np.float32(1.5)
    assert message(lambda: OCRSession("token", timeout=value)).endswith("; pass float(...)")
    assert OCRSession("token", timeout=np.float64(1.5))  # it is a float


@pytest.mark.parametrize("value", [0, 1, None, "no", np.bool_(True), Evil()])  # noqa: FBT003
def test_a_flag_is_true_or_false(value: Any) -> None:
    """Nothing is taken for a flag by what it counts as."""
    said = message(lambda: OCRSession("token", adaptive=value))
    assert said.endswith("expected True or False")


@pytest.mark.parametrize("value", [0, 3, 1.5, True, False, "3", [], {}, RetryPolicy, Evil()])
def test_how_often_is_said_by_a_policy(value: Any) -> None:
    """A number is neither ignored nor found out at the first failure."""
    said = message(lambda: OCRSession("token", retry=value))
    assert said.endswith("expected a RetryPolicy, such as RetryPolicy(attempts=3)")
    assert OCRSession("token", retry=None)


@pytest.mark.parametrize("value", [7, b"token", ["t"], True, SECRET.encode(), Evil()])
def test_a_token_is_text(value: Any) -> None:
    """What is no text is told by its kind, and never shown."""
    said = message(lambda: OCRSession(value))
    assert said == f"token is a {type(value).__name__}, expected a string"


@pytest.mark.parametrize(
    "client, kind",
    [
        (httpx.Client(), "a httpx.Client"),
        (httpx.AsyncClient, "the class httpx.AsyncClient"),
        (httpx.AsyncHTTPTransport(), "a httpx.AsyncHTTPTransport"),
        ("client", "a str"),
        (True, "a bool"),
        (0, "a int"),
        (httpx, "a module"),
        (Evil(), f"a {__name__}.Evil"),
    ],
)
def test_a_client_is_one_of_httpx(client: Any, kind: str) -> None:
    """What cannot send asynchronously is refused before it loses anything."""
    said = message(lambda: OCRSession("token", http_client=client))
    expected = "an instance of httpx.AsyncClient or httpx2.AsyncClient"
    assert said == f"http_client is {kind}, expected {expected}"


# ---- the service's address


@pytest.mark.parametrize(
    "url",
    [
        "https://h?",
        f"https://h?token={SECRET}",
        f"https://h/path?key={SECRET}",
        f"https://h#{SECRET}",
        "https://h#",
        " https://h",
        "https://h ",
        "https://h\n",
        "https://h\t/x",
        "https://h/a b",
        "https://h/\x00",
        "https://h/\x7f",
        "https://h/\u00a0",
        "https://h/a\\b",
        "https://h/é",
        "https://h/..",
        "https://h/a/../b",
        "https://h/./b",
        "https://h/%2E%2e/b",
        "https://h/%zz",
        'https://h/"',
        "https://h:0",
        "https://h:65536",
        "https://h:-1",
        "https://h:",
        "https://h:port",
        "https://:443",
        "https:///path",
        "https://",
        "https:h",
        "//h",
        "h",
        "/path",
        "https://h o.st",
        "https://a,b",
        "https://a..b",
        "https://.",
        "https://a%20b",
        f"https://{'a' * 64}",
        "https://[::1",
        "https://[x]",
        f"https://user:{SECRET}@h",
        f"https://{SECRET}@h",
        "ftp://h",
        "http://h",
        "file:///etc/passwd",
        "",
    ],
)
@pytest.mark.parametrize("door", ["option", "environment"])
def test_an_address_that_leads_elsewhere_is_refused(
    url: str, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token goes to the host and the path that the address says, or nowhere."""
    if door == "option":
        said = message(lambda: OCRSession("token", base_url=url))
        assert said.startswith("base_url ")
    elif url and "\x00" not in url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        said = message(lambda: OCRSession("token"))
        assert said.startswith("XIMILAR_BASE_URL ")
    else:
        return
    assert SECRET not in said


@pytest.mark.parametrize(
    "url",
    [
        b"https://h",
        httpx.URL("https://h"),
        yarl.URL("https://h"),
        HttpUrl("https://h"),
        urlsplit("https://h"),
        7,
        0,
        False,
        ["https://h"],
        str,
        Evil(),
    ],
)
def test_an_address_is_text(url: Any) -> None:
    """An object that is a URL is refused with the way to pass it, and nothing counts as none."""
    said = message(lambda: OCRSession("token", base_url=url))
    assert said.startswith("base_url is ")
    is_url = not isinstance(url, bytes | int | list | type | Evil)
    assert said.endswith("; pass str(url), expected https://HOST as a string") == is_url


@pytest.mark.parametrize(
    "url",
    [
        "https://h",
        "HTTPS://H.example.",
        "https://h:8443/",
        "https://h/a/b~c/%20/x;y=1",
        "https://sub_domain.h-1.example/v2/",
        "https://bücher.example",
        "https://10.0.0.1",
        "https://[2001:db8::1]:443",
        "http://localhost:8000/prefix/",
    ],
)
def test_an_address_may_have_a_port_and_a_path(url: str) -> None:
    """What was allowed stays so."""
    assert OCRSession("token", base_url=url)


@pytest.mark.parametrize(
    "proxy",
    [
        *("http://h ost", "http://h\n", "http://a,b", "http://h:0", "http://h:", " http://h", ""),
        *(httpx.URL(f"http://u:{SECRET}@h"), yarl.URL(f"http://u:{SECRET}@h"), b"http://h", 1),
        *(False, f"http://u:{SECRET}@h ost", f"http://u:{SECRET}@h:0", {"https": "http://h"}),
    ],
)
def test_a_proxy_is_the_text_of_a_url(proxy: Any) -> None:
    """What is none is refused without its password."""
    said = message(lambda: OCRSession("token", proxy=proxy))
    assert said.startswith("proxy ")
    assert SECRET not in said


# ---- options of a call


DOORS: dict[str, Callable[..., Any]] = {
    "read": lambda s, **o: s.read(URL, **o),
    "read_all": lambda s, **o: s.read_all([URL], **o),
    "stream": lambda s, **o: s.stream([URL], **o),
    "extract": lambda s, **o: s.extract(URL, Note, **o),
    "extract_all": lambda s, **o: s.extract_all([URL], Note, **o),
    "extract_stream": lambda s, **o: s.extract_stream([URL], Note, **o),
    "submit": lambda s, **o: s.submit([URL], **o),
}
WAITING: list[tuple[str, Any]] = [
    *(("deadline", value) for value in [*NO_NUMBERS, math.inf]),
    *(("outage_timeout", value) for value in NO_NUMBERS),
    *(("lang", value) for value in ["", "EN", "de", None, 5, b"en", ["en"], True, Evil()]),
    *(("priority", value) for value in ["", "high", 1, True, ["bulk"], Evil()]),
    *(("fair_by", value) for value in [[1], {"a": 1}]),
]
OWN: list[tuple[str, str, Any]] = [
    *((door, "prompt", v) for door in ("read", "read_all", "stream") for v in ["", " ", 5, b"x"]),
    *(("submit", "prompt", value) for value in ["", 5, True, ["x"]]),
    *(("submit", "type", value) for value in ["", 5, None, b"ocr"]),
    *(("submit", "endpoint", value) for value in ["", 5, 0, False, b"read"]),
    *(("submit", "webhook", value) for value in ["https://h/x", True, Webhook, object()]),
    *(("submit", "on_id", value) for value in ["print", 5, []]),
    *(("stream", "ordered", value) for value in [0, 1, "yes", None]),
    *(("extract_stream", "ordered", value) for value in [0, 1, "yes", None]),
    *(
        (door, name, value)
        for door in ("extract", "extract_all", "extract_stream")
        for name, values in {
            "instructions": [None, 5, b"x", ["x"]],
            "max_reasks": [*NO_NUMBERS, None, 1.0, math.inf],
        }.items()
        for value in values
    ),
]


async def refuse(service: InProcessService, call: Callable[[OCRSession], Any], name: str) -> None:
    """Ask a session for what it refuses, and look that it sent nothing."""
    async with service.session() as session:
        with pytest.raises(OptionError) as caught:
            await call(session)
        assert name in str(caught.value)
        assert SECRET not in str(caught.value)
        assert len(str(caught.value)) < 700
        assert service.requests == 0
        assert session.stats.records_failed == 0


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_every_call_refuses_what_makes_no_sense(service: InProcessService, door: str) -> None:
    """Each word of each call is checked at each door, and nothing is sent."""
    for name, value in WAITING:
        await refuse(service, lambda s, o={name: value}: DOORS[door](s, **o), name)  # type: ignore[misc]


@pytest.mark.anyio
async def test_the_words_of_one_call_alone_are_checked_too(service: InProcessService) -> None:
    """Prompts, classes, webhooks and the like are refused before any image is pulled."""
    for door, name, value in OWN:
        await refuse(service, lambda s, d=door, o={name: value}: DOORS[d](s, **o), name)  # type: ignore[misc]


@pytest.mark.anyio
@pytest.mark.parametrize("cls", [None, 5, "Note", dict, list[str], Note("x"), Evil()])
async def test_a_class_to_fill_in_is_one(service: InProcessService, cls: Any) -> None:
    """What has no fields is refused by name."""
    await refuse(service, lambda s: s.extract(URL, cls), "is not an attrs class")


@pytest.mark.anyio
@pytest.mark.parametrize("ids", [None, 5, b"abc", [5], [None], [""], "a\nb", ["x" * 201], ".."])
async def test_ids_are_those_of_requests(service: InProcessService, ids: Any) -> None:
    """What cannot be an id is not asked after."""
    await refuse(service, lambda s: s.job(ids), "expected th")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "words",
    [{"status": 5}, {"type": b"ocr"}, {"deadline": "3"}, {"outage_timeout": True}],
)
async def test_lists_of_jobs_are_checked(service: InProcessService, words: Any) -> None:
    """Their filters are words, and their times are numbers."""
    await refuse(service, lambda s: s.jobs(**words), next(iter(words)))


@pytest.mark.anyio
@pytest.mark.parametrize("webhook", [Webhook("https://h/x"), "https://h/x", WebhookReceiver])
async def test_a_job_is_woken_by_a_receiver(service: InProcessService, webhook: Any) -> None:
    """A webhook alone receives nothing in this program."""
    await refuse(service, lambda s: s.job("abc", webhook=webhook), "expected a WebhookReceiver")


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["account", "check"])
async def test_questions_about_the_account_are_checked(
    service: InProcessService, name: str
) -> None:
    """Their times are numbers."""
    values: list[Any] = [*NO_NUMBERS, math.inf]
    for value in values:
        await refuse(service, lambda s, v=value: getattr(s, name)(deadline=v), "deadline")  # type: ignore[misc]


@pytest.mark.anyio
@pytest.mark.parametrize("token", [None, "", " ", 5, b"x"])
async def test_another_account_needs_a_token_of_its_own(
    service: InProcessService, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token of the environment never pays for another's records."""
    monkeypatch.setenv("XIMILAR_API_TOKEN", "of-the-house")
    await refuse(service, lambda s: s.for_token(token), "token is a ")


@pytest.mark.anyio
async def test_the_cap_of_another_account_is_checked(service: InProcessService) -> None:
    """As that of the session is."""
    for value in NO_NUMBERS:
        await refuse(service, lambda s, v=value: s.for_token("t", max_records=v), "max_records")  # type: ignore[misc]


# ---- values that are made before


@pytest.mark.parametrize(
    "options",
    [
        *({"id": value} for value in [5, b"a", True, ["a"], Evil()]),
        *({"lang": value} for value in ["", 5, b"en", ["en"], Evil()]),
        *({"prompt": value} for value in ["", " ", 5, b"x", ["x"], "x" * 4001]),
        *({"extra": value} for value in [None, 5, [("a", 1)], "a", {"_id": "x"}, {"lang": "en"}]),
    ],
)
def test_an_image_checks_its_options(options: Any) -> None:
    """Wrong options of an image are refused where it is made."""
    assert next(iter(options)) in message(lambda: Image(URL, **options))


@pytest.mark.parametrize(
    "url", ["", "h", "ftp://h", "https://", 5, None, b"https://h", httpx.URL("https://h"), Evil()]
)
def test_a_webhook_checks_its_url(url: Any) -> None:
    """It is the text of a URL."""
    assert message(lambda: Webhook(url)).startswith("url of a webhook is ")


@pytest.mark.parametrize(
    "headers", [5, "a: b", [("a", "b")], {"a": SECRET + "\n\x00"}, {5: SECRET}, {"a": 5}, {"": "x"}]
)
def test_a_webhook_checks_its_headers(headers: Any) -> None:
    """No value of a header is shown."""
    assert SECRET not in message(lambda: Webhook("https://h", headers))


@pytest.mark.parametrize(
    "options, name",
    [
        ({"webhook": "https://h"}, "webhook"),
        ({"webhook": Webhook}, "webhook"),
        ({"webhook": Webhook("https://h"), "verify": ["secret"]}, "verify"),
        ({"webhook": Webhook("https://h"), "verify": None}, "verify"),
        *(({"webhook": Webhook("https://h"), "max_bytes": v}, "max_bytes") for v in NO_NUMBERS),
    ],
)
def test_a_receiver_checks_its_options(options: Any, name: str) -> None:
    """They are refused where it is made."""
    assert message(lambda: WebhookReceiver(**options)).startswith(f"{name} is ")


@pytest.mark.parametrize("prompt", ["", " ", 5, b"x", True])
def test_an_estimate_checks_its_prompt(prompt: Any) -> None:
    """What no call would take is not estimated as if it were none."""
    assert "prompt is " in message(lambda: estimate([URL], prompt=prompt))


# ---- URLs that are objects


OBJECTS: list[Any] = [
    *(httpx.URL(URL), yarl.URL(URL), HttpUrl(URL), AnyUrl(URL), urlsplit(URL), urlparse(URL)),
]


@pytest.mark.anyio
@pytest.mark.parametrize("url", OBJECTS, ids=lambda url: f"{type(url).__module__}")
async def test_an_image_may_be_a_url_of_a_library(service: InProcessService, url: Any) -> None:
    """It is read as its text is, alone, in an `Image` and among many."""
    async with service.session() as session:
        assert (await session.read(url)).text == URL
        [outcome] = await session.read_all([Image(url, id="a")])
        job = await session.submit([url])
        [submitted] = await job.wait()
    assert outcome.unwrap().text == submitted.unwrap().text == URL
    assert (outcome.image.source, outcome.image.name) == (URL, URL)
