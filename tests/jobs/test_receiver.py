"""Deliveries: what proves one, what is refused, and what is in it."""

import hmac
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.deliveries import GIVEN, HEADERS, ROW, URL, news, receiver
from ximilar_ocr_async import OptionError, Webhook, WebhookError, WebhookReceiver
from ximilar_ocr_async._jobs import receiver as module
from ximilar_ocr_async._protocol.encode import make_body
from ximilar_ocr_async._protocol.requests import SubmitRequest
from ximilar_ocr_async._protocol.webhook import SECRET_HEADER
from ximilar_ocr_async.testing.service.submissions import Webhook as Taken

# ---- where to tell


def test_a_webhook_without_headers_gets_a_secret() -> None:
    """The secret is long, is another each time, and stands in no repr."""
    one, other = Webhook(URL), Webhook(URL, {})
    [secret] = one.headers.values()
    assert list(one.headers) == [SECRET_HEADER]
    assert len(secret) >= 43
    assert one.headers != other.headers
    shown = f"{one!r} {WebhookReceiver(one)!r} {SubmitRequest('read', 'en', webhook=one)!r}"
    assert secret not in shown
    assert URL in repr(one)
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    "url",
    [
        *("", "me.example", "ftp://me.example/", "http://", None, 7, b"http://me.example"),
        *("https://me:s3cret@", "ftp://me:s3cret@me.example", "https:me:s3cret@me.example"),
        "x" * 9999,
    ],
)
def test_a_webhook_needs_a_url(url: Any) -> None:
    """Anything but an http(s) URL is an error that says so, in few words without a password."""
    with pytest.raises(OptionError, match="url of a webhook is") as caught:
        Webhook(url)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "url, told",
    [
        ("https://me:s3cret@me.example:8/hook", "https://***@me.example:8/hook"),
        ("https://me.example/hook?key=s3cret&x=1#s3cret", "https://me.example/hook?***"),
        ("http://[::1]:8/", "http://[::1]:8/"),
    ],
)
def test_the_url_is_shown_without_its_secrets(url: str, told: str) -> None:
    """A repr that holds a webhook hides user, password and query, and the service gets them."""
    hook = Webhook(url, HEADERS)
    request = SubmitRequest("read", "en", webhook=hook)
    assert repr(hook) == f"Webhook(url={told!r})"
    assert told in repr(WebhookReceiver(hook)) + repr(request)
    body = make_body([], request.fields)
    assert "s3cret" not in f"{WebhookReceiver(hook)!r} {request!r} {Taken(url)!r} {body!r}"
    assert request.fields["webhook"] == {"endpoint": url, "headers": HEADERS}
    assert (hook.url, pickle.loads(pickle.dumps(hook))) == (url, hook)  # noqa: S301


@pytest.mark.parametrize(
    "headers, told",
    [
        ({"X Y": "s3cret"}, "'X Y' is not a valid header name"),
        ({"": "s3cret"}, "'' is not a valid header name"),
        ({7: "s3cret"}, "7 is not a valid header name"),
        ({"X": "s3cret\r\nY: 1"}, "header X is empty or not all visible ASCII"),
        ({"X": ""}, "header X"),
        ({"X": "sécret-1"}, "header X"),
        ({"X": 1}, "header X"),
        ({"X": "s3cret\r\nY: s3cret"}, "header X is empty or not all visible ASCII"),
        ({"X": "s3cret\x00"}, "header X is empty or not all visible ASCII"),
        ({"X": "s3cret\tx"}, "header X is empty or not all visible ASCII"),
        ({"X": "s3cret" + " " * 5000 + "\x7f"}, "header X is empty or not all visible ASCII"),
        ({"X": "s3cret" * 1000}, "header X has 6,000 characters, the limit is 4,096"),
        ({"X" * 101: "s3cret"}, f"'{'X' * 101}' is not a valid header name"),
        ({"X\nY": "s3cret"}, r"'X\nY' is not a valid header name"),
        ([("X", "s3cret")], "headers of a webhook are a list, expected a mapping"),
        ("", "headers of a webhook are a str, expected a mapping"),
        ({"X": "s3cret", "x": "s3cret+"}, "header x is given twice"),
    ],
)
def test_headers_must_be_fit_to_be_sent(headers: Any, told: str) -> None:
    """What is no header is an error that does not show its value."""
    with pytest.raises(OptionError) as caught:
        Webhook(URL, headers)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_headers_are_the_webhooks_own() -> None:
    """What becomes of the mapping later changes no webhook."""
    headers = dict(HEADERS)
    hook = Webhook(URL, headers)
    headers.clear()
    assert hook.headers == HEADERS


@pytest.mark.parametrize(
    "options, told",
    [
        ({"verify": "trust"}, "verify is 'trust', allowed are secret, refetch"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"max_bytes": 1.5}, "max_bytes is 1.5"),
    ],
)
def test_a_receivers_options_are_checked(options: Any, told: str) -> None:
    """What is out of bounds is an error that says so."""
    with pytest.raises(OptionError, match=told):
        receiver(**options)


# ---- what proves a delivery


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Secret": "open-sesam"}, {"X-Secret": "öpen"}, {"X-Secret": "\ud800"}, {"Y": "open"}],
)
def test_a_wrong_secret_is_refused(headers: dict[str, str]) -> None:
    """Whatever is sent in its place, the answer is 401 and says nothing of the secret."""
    with pytest.raises(WebhookError) as caught:
        receiver().receive(headers, b"not looked at")
    assert caught.value.status == 401
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("value", [b"open-sesame", None, 7, ["open-sesame"]])
@pytest.mark.parametrize("name", ["x-secret", b"x-secret", None])
def test_headers_that_are_no_text_prove_nothing(name: Any, value: Any) -> None:
    """A framework that gives bytes has its deliveries refused; what came beside counts."""
    with pytest.raises(WebhookError) as caught:
        receiver().check({name: value})
    assert caught.value.status == 401
    receiver().check({**GIVEN, b"x-other": value, None: value})  # type: ignore[dict-item]


def test_every_header_must_be_right() -> None:
    """One of two proves nothing."""
    there = WebhookReceiver(Webhook(URL, {"A": "1", "B": "2"}))
    with pytest.raises(WebhookError):
        there.check({"A": "1"})
    there.check({"a": "1", "b": "2", "c": "3"})


@given(st.text(), st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_only_the_same_secret_is_the_secret(text: str, secret: str) -> None:
    """A header of any text at all is taken if, and only if, it is the secret itself."""
    there = WebhookReceiver(Webhook(URL, {"X": secret}))
    there.check({"x": secret})
    if text != secret:
        with pytest.raises(WebhookError):
            there.check({"X": text})


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All headers go through the comparison that tells nothing by its time, be the first wrong."""
    compared = []

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr(hmac, "compare_digest", spy)
    with pytest.raises(WebhookError):
        WebhookReceiver(Webhook(URL, {"A": "1", "B": "2"})).check({"A": "x"})
    assert compared == [(b"x", b"1"), (b"", b"2")]


# ---- what is in it


def test_a_delivery_has_its_outcomes() -> None:
    """All that is known of an image is its place, its name and its URL; of the text, all."""
    row = {**ROW, "_id": "7.0123abcd.page", "_url": "https://x.example/1"}
    failed = {"_id": "8.0123abcd.", "_status": {"code": 400, "text": "no image"}}
    delivery = receiver().receive(GIVEN, news(rows=[row, failed]))
    assert delivery is not None
    assert delivery.outcomes is not None
    good, bad = delivery.outcomes
    assert (good.index, good.image.id, good.image.source) == (7, "page", "https://x.example/1")
    assert good.unwrap().text == "tea"
    assert (bad.index, bad.image.id, bad.ok) == (8, None, False)
    assert repr(delivery) == "Delivery(id='r1')"


@pytest.mark.parametrize(
    "there, body",
    [
        (receiver(verify="refetch"), news()),
        (receiver(), news(status="FAILED")),
        (receiver(), news(rows=None)),
        (receiver(), b'{"id": "r1"}'),
    ],
)
def test_what_is_not_told_or_not_believed_is_to_be_fetched(
    there: WebhookReceiver, body: bytes
) -> None:
    """A delivery without results that are believed names the request alone."""
    delivery = there.receive(GIVEN, body)
    assert delivery
    assert (delivery.id, delivery.outcomes) == ("r1", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b"[]",
        b"null",
        b'"r1"',
        b"{}",
        news(""),
        news(7),
        news(None),
        news("a" * 201),
        news("a\nb"),
        news(".."),
        b"9" * 5000,
    ],
)
def test_what_is_no_delivery_is_refused(body: bytes) -> None:
    """What is not JSON, or names no request, is answered with 400."""
    there = receiver()
    with pytest.raises(WebhookError) as caught:
        there.receive(GIVEN, body)
    assert caught.value.status == 400


@given(st.binary(max_size=200))
def test_any_body_is_a_delivery_or_refused(body: bytes) -> None:
    """Nothing that can be posted raises anything else."""
    try:
        receiver().receive(GIVEN, body)
    except WebhookError as error:
        assert error.status == 400  # noqa: PT017 - most bodies are refused, not all


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.dictionaries(st.sampled_from(["_id", "_url", "_status", "_ocr"]), JSON))
def test_any_record_makes_an_outcome(other: Any, row: dict[str, Any]) -> None:
    """A record of whatever JSON comes out as one outcome, read or not."""
    delivery = receiver().receive(GIVEN, news(rows=[row, other]))
    assert delivery is not None
    assert len(delivery.outcomes or ()) == 2


def test_too_large_a_delivery_is_refused() -> None:
    """The message names the limit."""
    with pytest.raises(WebhookError, match="the limit is 10") as caught:
        receiver(max_bytes=10).receive(GIVEN, news())
    assert caught.value.status == 413


def test_a_second_delivery_is_none() -> None:
    """What was there before is told once."""
    there = receiver()
    assert there.receive(GIVEN, news()) is not None
    assert there.receive(GIVEN, news()) is None
    assert there.receive(GIVEN, news("r2")) is not None


def test_so_many_deliveries_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the oldest is forgotten, and would be new."""
    monkeypatch.setattr(module, "KEPT_IDS", 2)
    there = receiver()
    for request_id in ("a", "b", "c"):
        assert there.receive(GIVEN, news(request_id))
    assert there.receive(GIVEN, news("b")) is None
    assert there.receive(GIVEN, news("a"))


@pytest.mark.anyio
@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_handler_reads_outcomes_of_any_size(size: int) -> None:
    """It awaits what `outcomes` are, and nothing of a delivery that is only a hint."""
    row = {**ROW, "_ocr": {"full_text": "a" * size}}
    for there in (receiver(), receiver(verify="refetch")):
        delivery = there.receive(GIVEN, news(rows=[row]))
        assert delivery is not None
        assert await delivery.read_outcomes() == delivery.outcomes
