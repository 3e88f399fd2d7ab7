"""A session reads what it is given and takes no nonsense, in virtual time on asyncio and trio."""

import logging
import traceback
from collections import Counter
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import PNG, error_of, failing, texts, urls
from ximilar_ocr_async import Image, ImageError, Language, OCRSession, OptionError, RetryPolicy
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


# ---- the main job


async def test_read_returns_the_record_of_one_image(service: InProcessService) -> None:
    """One image in gives its record back."""
    async with service.session() as session:
        record = await session.read("https://images.example/a.jpg", lang="ja")
    assert record.text == "https://images.example/a.jpg"
    assert (record.ocr.lang, record.ocr.lang_name) == ("ja", "japanese")
    assert record.status.ok


async def test_read_all_keeps_the_order_and_fills_the_batches(service: InProcessService) -> None:
    """Outcomes come in the order of the images, from full batches, at most three at once."""
    images = urls(95)
    async with service.session() as session:
        outcomes = await session.read_all(images)
    assert texts(outcomes) == images
    assert [outcome.index for outcome in outcomes] == list(range(95))
    assert service.sizes == [10] * 9 + [5]
    assert service.peak == 3


async def test_batches_hold_one_language_each(service: InProcessService) -> None:
    """Images of several languages go in requests of their own, each full."""
    images = [Image(url, lang=("en", "ja")[i % 2]) for i, url in enumerate(urls(40))]
    async with service.session() as session:
        outcomes = await session.read_all(images)
    assert service.sizes == [10] * 4
    assert Counter(seen.lang for seen in service.log) == {"en": 2, "ja": 2}
    assert [outcome.unwrap().ocr.lang for outcome in outcomes] == [image.lang for image in images]


async def test_no_more_than_max_concurrency_requests_are_in_flight(
    service: InProcessService,
) -> None:
    """All slots are used, and not one more, whatever calls there are."""
    async with service.session(max_concurrency=5) as session, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(session.read_all, urls(60))
    assert service.peak == 5
    assert service.sizes == [10] * 18


async def test_single_reads_share_requests_when_slots_are_taken(service: InProcessService) -> None:
    """Reads that wait for a slot ride together, with no timer."""
    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        for url in urls(12):
            group.start_soon(session.read, url)
    assert service.sizes == [10, 2]


async def test_bytes_are_sent_as_base64_and_read() -> None:
    """An encoded image in memory is read without a file or a URL."""
    image = PNG + bytes(100)
    service = InProcessService(texts={image: "from memory"})
    async with service.session() as session:
        assert (await session.read(image)).text == "from memory"


async def test_a_language_is_told_by_its_name(service: InProcessService) -> None:
    """A member of the enum is as good as its letters, for a call and for an image."""
    images = [Image("https://x.example/1", lang=Language.KOREAN), Image("https://x.example/2")]
    async with service.session() as session:
        await session.read_all(images, lang=Language.CHINESE)
    assert Counter(seen.lang for seen in service.log) == {"ko": 1, "zh": 1}


async def test_a_prompt_goes_to_the_language_model(service: InProcessService) -> None:
    """A prompt, of the call or of the image, switches the endpoint for these images alone."""
    images = [Image("https://x.example/1", prompt="mine"), Image("https://x.example/2")]
    async with service.session() as session:
        await session.read_all(images)
        await session.read_all(images, prompt="all")
    sent = {(seen.path, record.get("prompt")) for seen in service.log for record in seen.records}
    assert sent == {
        ("/ocr/v2/read", None),
        ("/ocr/v2/read_gpt", "mine"),
        ("/ocr/v2/read_gpt", "all"),
    }


async def test_the_callers_id_and_extra_come_back(service: InProcessService) -> None:
    """Images may share an id: on the wire each has its own, on the record the caller's."""
    images = [Image(url, id="same", extra={"page": i}) for i, url in enumerate(urls(3))]
    async with service.session() as session:
        outcomes = await session.read_all(images)
    records = [outcome.unwrap() for outcome in outcomes]
    assert [record.id for record in records] == ["same"] * 3
    assert [record.extra for record in records] == [{"page": 0}, {"page": 1}, {"page": 2}]
    assert len({record["_id"] for record in service.log[0].records}) == 3


async def test_empty_input_sends_nothing(service: InProcessService) -> None:
    """No images are no request and no outcome."""
    async with service.session() as session:
        assert await session.read_all([]) == []
    assert service.sizes == []


# ---- bad input


async def test_what_is_no_image_fails_alone_and_is_not_sent(service: InProcessService) -> None:
    """A str that is no URL, a format the service does not take, a stranger: a Failure each."""
    images: list[Any] = ["a.jpg", b"%PDF-1.7", 42, None, b"", "https://x.example/1"]
    async with service.session() as session:
        outcomes = await session.read_all(images)
    errors = [str(outcome.error) for outcome in outcomes if not outcome.ok]
    assert [outcome.ok for outcome in outcomes] == [False] * 5 + [True]
    assert "Path" in errors[0]
    assert "PDF" in errors[1]
    assert "int" in errors[2]
    assert [outcome.attempts for outcome in outcomes] == [0] * 5 + [1]
    assert service.sizes == [1]


async def test_a_batch_of_broken_images_sends_no_request(service: InProcessService) -> None:
    """When nothing of a batch can be sent, nothing is."""
    async with service.session() as session:
        with pytest.raises(ImageError, match="not an image"):
            await session.read(b"plain text")
    assert service.sizes == []


@pytest.mark.parametrize("images", ["https://x.example/1", b"bytes", Image("https://x.example"), 7])
async def test_one_image_is_not_taken_for_many(service: InProcessService, images: Any) -> None:
    """A bulk call given a single image says so instead of reading its letters."""
    async with service.session() as session:
        with pytest.raises(OptionError, match="iterable"):
            await session.read_all(images)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"max_concurrency": 0}, "max_concurrency is 0, expected a whole number of at least 1"),
        ({"max_concurrency": True}, "max_concurrency is True"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"base_url": "http://api.ximilar.com"}, "plain http"),
    ],
)
def test_options_out_of_range_are_errors_at_once(options: dict[str, Any], words: str) -> None:
    """A wrong option is told when the session is made, by value and limit."""
    with pytest.raises(OptionError, match=words):
        OCRSession("token", **options)


def test_a_session_without_a_token_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, given or in the environment, is an error at once."""
    for name in ("XIMILAR_API_TOKEN", "XIMILAR_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match=r"XIMILAR_API_TOKEN.*app\.ximilar\.com"):
        OCRSession()


async def test_an_unknown_language_is_an_error_at_once(service: InProcessService) -> None:
    """A wrong language names the allowed ones and sends nothing."""
    async with service.session() as session:
        with pytest.raises(OptionError, match="'xx', allowed are en, zh, ko, ja, ru"):
            await session.read_all(urls(3), lang="xx")
    assert service.sizes == []


# ---- what it shows


async def test_repr_tells_the_state(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session shows whether it is open, where it sends and how much at once."""
    monkeypatch.delenv("XIMILAR_BASE_URL", raising=False)
    session = OCRSession("token", http_client=service.client(), max_concurrency=7)
    assert "not entered" in repr(session)
    async with session:
        assert "open, https://api.ximilar.com, 0 of 7 slots in use" in repr(session)
    assert "closed" in repr(session)


# ---- the token


async def test_the_token_goes_to_the_service_and_nowhere_else(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands in one header; in no other, no log, no repr, no error and no frame's locals."""
    service.reply = in_turn(failing(401, "no"), httpx.ReadError("reset"))
    one = RetryPolicy(attempts=1)
    with caplog.at_level(logging.DEBUG):
        async with service.session(token="token-of-a-test", retry=one) as session:
            outcomes = await session.read_all(urls(10)) + await session.read_all(urls(10))
            shown = [repr(session), str(vars(session)), caplog.text, repr(outcomes)]
    headers = dict(service.log[0].headers)
    assert headers.pop("authorization") == "Token token-of-a-test"
    assert headers["user-agent"].startswith("ximilar-ocr-async/")
    for outcome in outcomes:
        error = error_of(outcome)
        shown.extend(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert "token-of-a-test" not in "".join([*shown, *headers.values()])


def test_a_wrong_option_shows_no_token() -> None:
    """The traceback of a wrong option holds no token in the locals of the package's frames."""
    with pytest.raises(OptionError) as caught:
        OCRSession("Token secret-of-a-test", max_concurrency=0)
    # The first frame is this test's own.
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert "secret-of-a-test" not in "".join(str(frame.locals) for frame in frames[1:])
