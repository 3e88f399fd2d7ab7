"""Deliveries: what proves one, what is refused, and what becomes of it here."""

import gc
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from ximilar_ocr_async import Delivery, OptionError, Webhook, WebhookError, WebhookReceiver
from ximilar_ocr_async._jobs import receiver as module
from ximilar_ocr_async._protocol.requests import SubmitRequest
from ximilar_ocr_async._protocol.webhook import SECRET_HEADER
from ximilar_ocr_async.testing import virtual_time

URL = "https://me.example/hook"
HEADERS = {"X-Secret": "open-sesame"}
GIVEN = {"x-secret": "open-sesame"}
ROW = {"_id": "0.0123abcd.page", "_status": {"code": 200}, "_ocr": {"full_text": "tea"}}


class Listener:
    """Stands in for a job."""


def receiver(**options: Any) -> WebhookReceiver:
    """Make a receiver with a known secret."""
    return WebhookReceiver(Webhook(URL, HEADERS), **options)


def news(request_id: Any = "r1", status: str = "DONE", rows: Any = (ROW,)) -> bytes:
    """Return what the service posts."""
    response = {"records": list(rows)} if rows is not None else None
    document = {"status": status, "id": request_id, "type": "ocr", "response": response}
    return json.dumps(document).encode()


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


@pytest.mark.parametrize("url", ["", "me.example", "ftp://me.example/", "http://", None, 7])
def test_a_webhook_needs_a_url(url: Any) -> None:
    """Anything but an http(s) URL is an error that says so."""
    with pytest.raises(OptionError, match="url of a webhook is"):
        Webhook(url)


@pytest.mark.parametrize(
    "headers, told",
    [
        ({"X Y": "secret-1"}, "'X Y' is no name of a header"),
        ({"": "secret-1"}, "'' is no name"),
        ({7: "secret-1"}, "7 is no name"),
        ({"X": "secret-1\r\nY: 1"}, "header X has more than visible ASCII"),
        ({"X": ""}, "header X"),
        ({"X": "sécret-1"}, "header X"),
        ({"X": 1}, "header X"),
        ({"X": "secret-1", "x": "secret-2"}, "header x is there twice"),
    ],
)
def test_headers_must_be_fit_to_be_sent(headers: Any, told: str) -> None:
    """What is no header is an error that does not show its value."""
    with pytest.raises(OptionError) as caught:
        Webhook(URL, headers)
    assert told in str(caught.value)
    assert "secret-1" not in str(caught.value)


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


# ---- what is kept for jobs


def test_nothing_is_kept_where_no_job_listens() -> None:
    """A receiver whose deliveries go to the program alone does not fill up."""
    there = receiver()
    there.receive(GIVEN, news())
    assert there.take({"r1"}) == []


def test_a_job_takes_its_own_once() -> None:
    """What is another's stays."""
    there, job = receiver(), Listener()
    there.listen(job)
    there.receive(GIVEN, news("r1"))
    there.receive(GIVEN, news("r2"))
    assert [delivery.id for delivery in there.take({"r2", "r3"})] == ["r2"]
    assert there.take({"r2", "r3"}) == []
    assert [delivery.id for delivery in there.take({"r1"})] == ["r1"]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are left to polling; so is one that is larger than all that may be kept."""
    there, job = receiver(), Listener()
    there.listen(job)
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * len(news()))
    for request_id in ("r1", "r2", "r3"):
        there.receive(GIVEN, news(request_id))
    assert [delivery.id for delivery in there.take({"r1", "r2", "r3"})] == ["r2", "r3"]
    there.receive(GIVEN, news("r4", rows=[ROW] * 20))
    assert there.take({"r4"}) == []
    there.receive(GIVEN, news("r5"))
    assert [delivery.id for delivery in there.take({"r5"})] == ["r5"]


async def _fail(delivery: Delivery) -> None:
    raise ConnectionError(delivery.id)


@pytest.mark.anyio
async def test_what_comes_again_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that is new again, since its handler failed, is kept once."""
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * len(news()))
    there, job = receiver(), Listener()
    there.listen(job)
    async with posting(there, _fail) as client:
        for _ in range(5):
            with pytest.raises(ConnectionError):
                await client.post("/", content=news(), headers=HEADERS)
    there.receive(GIVEN, news("r2"))
    assert [delivery.id for delivery in there.take({"r1", "r2"})] == ["r1", "r2"]


@pytest.mark.anyio
async def test_all_that_wait_are_woken() -> None:
    """Two jobs wait at one receiver; each delivery wakes both, and the next does again."""
    there, job = receiver(), Listener()
    there.listen(job)
    woken = []

    async def wait(name: str, request_id: str) -> None:
        await there.wait([request_id])
        woken.append(name)

    for request_id in ("r1", "r2"):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, "a", request_id)
            group.start_soon(wait, "b", request_id)
            await anyio.wait_all_tasks_blocked()
            there.receive(GIVEN, news(request_id))
    assert sorted(woken) == ["a", "a", "b", "b"]


def test_a_receiver_outlives_an_event_loop() -> None:
    """One at a module's level serves program after program, be they cut short."""
    there, job = receiver(), Listener()
    there.listen(job)

    async def wait(request_id: str) -> None:
        with anyio.move_on_after(1):
            await there.wait([request_id])
        async with anyio.create_task_group() as group:
            group.start_soon(there.wait, [request_id])
            await anyio.wait_all_tasks_blocked()
            there.receive(GIVEN, news(request_id))

    for request_id, backend in [("r1", "asyncio"), ("r2", "trio"), ("r3", "asyncio")]:
        name, options = virtual_time(backend)
        anyio.run(wait, request_id, backend=name, backend_options=options)
    assert len(there.take({"r1", "r2", "r3"})) == 3


# ---- over HTTP


def posting(there: WebhookReceiver, handle: Any = None) -> httpx.AsyncClient:
    """Make a client that posts to the receiver's application."""
    transport = httpx.ASGITransport(there.app(handle))
    return httpx.AsyncClient(transport=transport, base_url="https://me.example")


def test_the_app_answers_as_a_server_does() -> None:
    """Mounted in a program's own application, it takes deliveries, and says what is wrong."""
    handled: list[Delivery] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery)

    there = receiver(max_bytes=1000)
    with TestClient(Starlette(routes=[Mount("/hooks", there.app(handle))])) as client:

        def post(body: bytes, headers: dict[str, str] = HEADERS) -> tuple[int, str]:
            response = client.post("/hooks/ximilar", content=body, headers=headers)
            return response.status_code, response.text

        assert post(news()) == (204, "")
        assert post(news()) == (204, "")
        assert post(news(), {}) == (401, "the delivery does not bring the webhook's headers")
        assert post(b"?") == (400, "the delivery is not JSON")
        status, told = post(b" " * 1001)
        assert (status, "the limit is 1,000" in told) == (413, True)
        assert client.get("/hooks/ximilar").status_code == 405
    assert [delivery.id for delivery in handled] == ["r1"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers, status, most", [({}, 401, 0), (HEADERS, 413, 3)], ids=["secret", "size"]
)
async def test_a_body_is_read_no_further_than_need_be(
    headers: dict[str, str], status: int, most: int
) -> None:
    """Of what nobody vouches for nothing is read; of what is too large, a little over the limit."""
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "http_version": "1.1",
        "scheme": "https",
        "server": ("me.example", 443),
    }
    await receiver(max_bytes=2500).app()(scope, receive, send)
    assert sent[0]["status"] == status
    assert read <= most


@pytest.mark.anyio
async def test_a_body_in_pieces_is_one_delivery() -> None:
    """Whatever pieces it comes in, and at any path."""

    async def pieces() -> AsyncIterator[bytes]:
        for byte in news():
            yield bytes([byte])

    there = receiver()
    async with posting(there) as client:
        response = await client.post("/any/where", content=pieces(), headers=HEADERS)
    assert response.status_code == 204
    assert there.receive(GIVEN, news()) is None


@pytest.mark.anyio
async def test_a_handler_that_raises_makes_the_delivery_new_again() -> None:
    """What the program could not take is not lost where it is told once more."""
    handled: list[str] = []

    async def handle(delivery: Delivery) -> None:
        if not handled:
            handled.append("failed")
            raise ConnectionError("no database")
        handled.append(delivery.id)

    async with posting(receiver(), handle) as client:
        with pytest.raises(ConnectionError):
            await client.post("/", content=news(), headers=HEADERS)
        for _ in range(2):
            response = await client.post("/", content=news(), headers=HEADERS)
            assert response.status_code == 204
    assert handled == ["failed", "r1"]


@pytest.mark.anyio
async def test_a_handler_that_is_cancelled_makes_the_delivery_new_again() -> None:
    """A server that shuts down has not taken what it was about to handle."""

    async def handle(_: Delivery) -> None:
        await anyio.sleep_forever()

    there = receiver()
    async with posting(there, handle) as client:
        with anyio.move_on_after(1):
            await client.post("/", content=news(), headers=HEADERS)
    assert there.receive(GIVEN, news()) is not None


# ---- what a review found


def test_nothing_is_kept_for_jobs_that_are_gone() -> None:
    """With the last job goes what came for it."""
    there, job = receiver(), Listener()
    there.listen(job)
    there.receive(GIVEN, news("r1"))
    del job
    gc.collect()
    there.receive(GIVEN, news("r2"))
    other = Listener()
    there.listen(other)
    assert there.take(["r1", "r2"]) == []


@pytest.mark.anyio
async def test_what_came_before_is_not_waited_for() -> None:
    """A delivery between asking and waiting is not missed."""
    there, job = receiver(), Listener()
    there.listen(job)
    there.receive(GIVEN, news("r1"))
    with anyio.fail_after(1):
        await there.wait(["r1"])
    assert [delivery.id for delivery in there.take(["r1"])] == ["r1"]


@pytest.mark.anyio
async def test_a_delivery_that_is_being_handled_is_not_taken_twice() -> None:
    """The second is to come again, for the first may still fail."""
    begun, go_on = anyio.Event(), anyio.Event()

    async def handle(_: Delivery) -> None:
        begun.set()
        await go_on.wait()

    there = receiver()
    client = httpx.AsyncClient(transport=httpx.ASGITransport(there.app(handle)))
    codes = []

    async def post() -> None:
        answer = await client.post("https://me.example/", content=news("r1"), headers=GIVEN)
        codes.append(answer.status_code)

    async with client, anyio.create_task_group() as group:
        group.start_soon(post)
        await begun.wait()
        await post()
        go_on.set()
    await anyio.lowlevel.checkpoint()
    assert codes == [503, 204]
