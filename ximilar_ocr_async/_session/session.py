"""The session: what a program holds to have images read. It wires the parts; they do the work."""

import os
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from ximilar_ocr_async._constants import (
    BASE_URL,
    DEFAULT_LANGUAGE,
    MAX_BATCH_BYTES,
    MAX_RESPONSE_BYTES,
    RECOMMENDED_CONCURRENCY,
)
from ximilar_ocr_async._http import HTTPClient, Token
from ximilar_ocr_async._protocol import Submission, Webhook
from ximilar_ocr_async._scheduling import Question, Reading
from ximilar_ocr_async._session.account import advise
from ximilar_ocr_async._session.options import Options
from ximilar_ocr_async._session.runtime import Runtime
from ximilar_ocr_async._session.stream import AnyImage, Images, Stream
from ximilar_ocr_async.errors import OCRError, SessionStateError
from ximilar_ocr_async.models import Account, Record
from ximilar_ocr_async.outcomes import Outcome, Stats, T
from ximilar_ocr_async.retry import RetryPolicy

if TYPE_CHECKING:
    from ximilar_ocr_async._jobs import Job, JobList, WebhookReceiver

CHECK_TIMEOUT = 10.0
"""[s] that a check may take: somebody stands there."""


class OCRSession:
    """An instance of this should live as long as your application does; enter it once.

    Every call of a session shares its slots and its connections. All requests run in a task group
    of the session's own, so cancelling a call never harms a connection.

    Args:
        token: The account's API token; else `XIMILAR_API_TOKEN`, else `XIMILAR_API_KEY` of the
            environment.
        base_url: The service's address; else `XIMILAR_BASE_URL`, else https://api.ximilar.com.
        max_concurrency: Requests in flight at most, each of up to 10 images. The vendor
            recommends the default, 3.
        adaptive: Whether fewer are in flight while the service says that it is asked too much.
        max_requests_per_second: Requests begun in a second at most, evenly spaced.
        linger: [s] that an image of a slow source waits for company in its batch, at most.
        max_batch_bytes: [bytes] of encoded images in one request; a larger image goes alone.
        max_response_bytes: [bytes] of an answer, decompressed; a larger one is an error.
        max_records: Records that the session may send in all, resends among them; images beyond
            fail unsent, with `BudgetExceeded`.
        per_record_lang: Whether each record names its language too, which its request does anyway.
        retry: How often and how soon an image is sent again.
        timeout: [s] that one request may take in all. In it, connecting may take 10 s, and the
            service may be silent for 90 s.
        deadline: [s] that a call may take in all: waiting, attempts and pauses; a call's own goes
            before it.
        outage_timeout: [s] of an outage that `read_all` and `stream` wait through. A `read` waits
            until its deadline; without one, for as many attempts as any image gets, and 30 s at
            most.
        drain: [s] that requests under way get to finish when the session is left.
        http_client: An ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` to send with; it is not
            closed. It should allow *max_concurrency* connections.

    Raises:
        OptionError: There is no token, or an option is outside its allowed values.
    """

    # On the class, because __del__ asks for it even where __init__ was called wrongly.
    _running: Runtime | None = None
    # What it is while it does not run.
    _state = "not entered"

    def __init__(
        self,
        token: str | Token | None = None,
        *,
        base_url: str | None = None,
        max_concurrency: int = RECOMMENDED_CONCURRENCY,
        adaptive: bool = True,
        max_requests_per_second: float | None = None,
        linger: float = 0.02,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        max_records: int | None = None,
        per_record_lang: bool = False,
        retry: RetryPolicy | None = None,
        timeout: float = 180.0,
        deadline: float | None = None,
        outage_timeout: float = 600.0,
        drain: float = 5.0,
        http_client: HTTPClient | None = None,
    ) -> None:
        try:
            self._token = Token.find(token)
        finally:
            # The raw token must not stand in the locals of a traceback.
            del token
        self._options = Options(
            base_url=base_url or os.environ.get("XIMILAR_BASE_URL") or BASE_URL,
            max_concurrency=max_concurrency,
            adaptive=adaptive,
            max_requests_per_second=max_requests_per_second,
            linger=linger,
            max_batch_bytes=max_batch_bytes,
            max_response_bytes=max_response_bytes,
            max_records=max_records,
            per_record_lang=per_record_lang,
            retry=retry or RetryPolicy(),
            timeout=timeout,
            deadline=deadline,
            outage_timeout=outage_timeout,
            drain=drain,
            http_client=http_client,
        )

    async def __aenter__(self) -> Self:
        if self._state != "not entered":
            raise SessionStateError("a session is entered once; make another")
        self._state = "being entered"
        try:
            self._running = await Runtime.start(self._options, self._token)
        finally:
            self._state = "closed"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        try:
            if not isinstance(exc, anyio.get_cancelled_exc_class()):
                await running.scheduler.drain(self._options.drain)
        except BaseException as error:
            exc = error
            raise
        finally:
            await running.leave(exc)

    async def aclose(self) -> None:
        """Leave the session: as the end of its block does, in the task that entered it.

        Requests under way get *drain* seconds to finish; all else fails with `SessionClosed`.
        """
        await self.__aexit__(None, None, None)

    def __del__(self) -> None:
        if self._running is not None:
            message = f"{self!r} was never closed"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)

    @property
    def stats(self) -> Stats:
        """What the session has done and is doing, as a snapshot."""
        return self._open().stats

    def __repr__(self) -> str:
        return f"<OCRSession {self._running.summary if self._running else self._state}>"

    def _open(self) -> Runtime:
        if self._running is None:
            told = f"the session is {self._state}; use it inside its async with block"
            raise SessionStateError(told)
        return self._running

    # ---- text

    def stream(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        ordered: bool = False,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> Stream:
        """Read images as they come from an iterable or async iterable, pulled as needed.

        Use as ``async with session.stream(images) as outcomes: async for outcome in outcomes:``.
        At most ``(max_concurrency + 1) * 10`` images are pulled ahead of the outcomes taken.

        Args:
            images: URLs as `str`, files as `Path`, encoded images as `bytes`, or `Image`.
            lang: Language of their text; an image's own goes before it.
            prompt: Question for the language model; an image's own goes before it.
            ordered: Whether outcomes come in the order of the images, not as they finish.
            deadline: [s] that the call may take in all. What is not read by then fails with
                `DeadlineExceeded`; an attempt that could only begin later is not waited for.
            outage_timeout: [s] of an outage to wait through, before the session's own.

        Returns:
            The stream; its outcomes are one for each image.

        Raises:
            OptionError: An option is outside its allowed values.
            SessionStateError: The session is not open.
        """
        return self._open().stream(
            images,
            Reading(prompt),
            lang=lang,
            ordered=ordered,
            deadline=deadline,
            outage_timeout=outage_timeout,
        )

    async def read_all(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> list[Outcome]:
        """Read images; return (n) outcomes in their order, a `Failure` where one went wrong.

        Raises as `stream` does, and what the iterable itself raises.
        """
        return await self._open().collect(
            images, Reading(prompt), lang=lang, deadline=deadline, outage_timeout=outage_timeout
        )

    async def read(
        self,
        image: AnyImage,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> Record:
        """Read one image; return its record.

        Raises:
            OCRError: It was not read.
        """
        return await self._open().first(
            image, Reading(prompt), lang=lang, deadline=deadline, outage_timeout=outage_timeout
        )

    # ---- typed answers

    def extract_stream(
        self,
        images: Images,
        cls: type[T],
        *,
        instructions: str = "",
        max_reasks: int = 0,
        lang: str = DEFAULT_LANGUAGE,
        ordered: bool = False,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> Stream[T]:
        """Have the language model fill in a class from each image; all else as for `stream`.

        *cls* is an attrs class, a dataclass or a TypedDict, with fields of plain types, lists,
        enums, dates, decimals and more such classes; ``metadata={"description": ...}`` or
        ``Annotated[X, "..."]`` describes a field. *instructions* are what else the model should
        know; an image's own prompt takes their place. An image whose answer does not fit is asked
        about again up to *max_reasks* times, with what was wrong; each time costs as the first.

        Returns:
            The stream; the ``value`` of an outcome is an instance of *cls*. Where an answer does
            not fit, the outcome is a `Failure` with an `ExtractionError`, and was paid for.

        Raises:
            OptionError: *cls* cannot be described in a prompt, and as for `stream`.
        """
        return self._open().stream(
            images,
            _fill_in(cls, instructions, max_reasks),
            lang=lang,
            ordered=ordered,
            deadline=deadline,
            outage_timeout=outage_timeout,
        )

    async def extract_all(
        self,
        images: Images,
        cls: type[T],
        *,
        instructions: str = "",
        max_reasks: int = 0,
        lang: str = DEFAULT_LANGUAGE,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> list[Outcome[T]]:
        """As `extract_stream`; return (n) outcomes in the order of the images."""
        question = _fill_in(cls, instructions, max_reasks)
        return await self._open().collect(
            images, question, lang=lang, deadline=deadline, outage_timeout=outage_timeout
        )

    async def extract(
        self,
        image: AnyImage,
        cls: type[T],
        *,
        instructions: str = "",
        max_reasks: int = 0,
        lang: str = DEFAULT_LANGUAGE,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> T:
        """As `extract_stream`, of one image; return the instance of *cls*.

        Raises:
            ExtractionError: The answer does not fit; the error has its faults, and the record.
            OCRError: There is no answer.
        """
        question = _fill_in(cls, instructions, max_reasks)
        return await self._open().first(
            image, question, lang=lang, deadline=deadline, outage_timeout=outage_timeout
        )

    # ---- later

    async def submit(
        self,
        images: Images,
        *,
        webhook: "Webhook | WebhookReceiver | None" = None,
        on_id: Callable[[str], object] | None = None,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        type: str = "ocr",  # noqa: A002 - the service's own word
        endpoint: str | None = None,
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> "Job":
        """Submit images to be read later, in asynchronous requests of up to 10.

        *on_id* is called with each id as soon as it is known. What is done is told to *webhook*; a
        receiver in this program wakes the job, too. *type* and *endpoint* are not published for
        OCR: ``ocr`` is a guess; the endpoint is ``read``, or ``read_gpt`` where there is a prompt,
        if nothing else is said. All else as for `stream`.

        An image that cannot be submitted is a `Failure` among the job's outcomes. Where the answer
        to a submission is lost, its images are not submitted twice: they fail as maybe billed.

        Returns:
            The job; store its ``ids``.
        """
        return await self._open().submit(
            images,
            prompt,
            Submission(type, endpoint),
            webhook,
            on_id=on_id,
            lang=lang,
            deadline=deadline,
            outage_timeout=outage_timeout,
        )

    def job(self, ids: str | Iterable[str], *, webhook: "WebhookReceiver | None" = None) -> "Job":
        """Take a job up again by the *ids* of its requests; deliveries to *webhook* wake it.

        That one of them does not exist turns out when its outcomes are asked for.
        """
        return self._open().job(ids, webhook)

    def jobs(self, *, status: str | None = None, type: str | None = None) -> "JobList":  # noqa: A002 - as above
        """Iterate over the account's asynchronous requests, if asked for of one status or type."""
        return self._open().jobs(status=status, type=type)

    # ---- the account

    async def account(self) -> Account:
        """Return the account that the token belongs to. It costs nothing."""
        return await self._open().account()

    async def check(self) -> None:
        """Prove that the service is reached and takes the token. It costs nothing.

        Raises:
            OCRError: It is not so; the message says what to do.
        """
        try:
            await self._open().account(outage_timeout=CHECK_TIMEOUT)
        except OCRError as error:
            raise advise(error) from None


def _fill_in(cls: type[T], instructions: str, max_reasks: int) -> Question[T]:
    # Loaded when it is first asked: in most programs that is never.
    from ximilar_ocr_async._extraction import Extraction  # noqa: PLC0415

    return Extraction(cls, instructions, max_reasks)
