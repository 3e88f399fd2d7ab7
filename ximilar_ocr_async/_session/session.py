"""The session: what a program holds to have images read. It wires the parts; they do the work."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Unpack

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE
from ximilar_ocr_async._protocol import Webhook, decode_account
from ximilar_ocr_async._scheduling import BulkWaiting, CallOptions, Question, Reading, Waiting
from ximilar_ocr_async._session.account import DETAILS, advise
from ximilar_ocr_async._session.collect import collect
from ximilar_ocr_async._session.lifecycle import SessionLifecycle
from ximilar_ocr_async._session.source import AnyImage, Images
from ximilar_ocr_async._session.stream import Stream
from ximilar_ocr_async._validation import kind_of
from ximilar_ocr_async.errors import OCRError, OptionError
from ximilar_ocr_async.models import Account, Record
from ximilar_ocr_async.outcomes import Outcome, T

if TYPE_CHECKING:
    from ximilar_ocr_async._jobs import Job, JobList, WebhookReceiver

CHECK_DEADLINE = 10.0
"""[s] that a check may take by default: a person waits."""


class OCRSession(SessionLifecycle):
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
        max_batch_records: Images in one request at most, 1 to 10. Fewer make each wait less for the
            slowest beside it, and cost more requests.
        max_batch_bytes: [bytes] of encoded images in one request; a larger image goes alone.
        max_response_bytes: [bytes] of an answer, decompressed; a larger one is an error.
        max_queue: Images of calls of one image that may wait for a slot at most; one more fails
            at once, with `Overloaded`. Bulk calls pull images as they are needed.
        max_records: Records that the session may send in all, resends among them; images beyond
            fail unsent, with `BudgetExceeded`.
        retry: How often and how soon an image is sent again.
        timeout: [s] that one request may take in all. In it, connecting may take 10 s, and the
            service may be silent for 90 s.
        deadline: [s] that a call may take in all: waiting, attempts and pauses; a call's own goes
            before it.
        outage_timeout: [s] of an outage that `read_all` and `stream` wait through. A `read` waits
            until its deadline; without one, for as many attempts as any image gets, and 30 s at
            most.
        drain: [s] that requests under way get to finish when the session is left; each is paid
            for.
        http_client: An ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` to send with; it is not
            closed. It should allow *max_concurrency* connections.
        ssl_context: With what TLS is spoken, for certificates of your own. By default those that
            ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` or else certifi holds are trusted.
        proxy: URL of a proxy, ``http``, ``https``, ``socks5`` or ``socks5h``, maybe with user and
            password; else ``HTTPS_PROXY`` or ``ALL_PROXY`` of the environment, unless ``NO_PROXY``
            or the service is on this machine. All requests go through tunnels, so no proxy sees
            the token.
        on_event: Called with each event of `ximilar_ocr_async.events`, at once and on the event
            loop. What it raises is logged, and harms nothing.

    Raises:
        OptionError: There is no token, or an option is outside its allowed values.
    """

    # ---- text

    def stream(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        ordered: bool = False,
        **waiting: Unpack[BulkWaiting],
    ) -> Stream:
        """Read images as they come from an iterable or async iterable, pulled as needed.

        Use as ``async with session.stream(images) as outcomes: async for outcome in outcomes:``.
        At most ``(max_concurrency + 1) * max_batch_records`` images are pulled ahead of the
        outcomes taken.

        Args:
            images: URLs as `str`, files as `Path`, encoded images as `bytes`, or `Image`.
            lang: Language of their text; an image's own goes before it.
            prompt: Question for the language model; an image's own goes before it.
            ordered: Whether outcomes come in the order of the images, not as they finish.
            waiting: *deadline* and *outage_timeout* [s], *priority* and *fair_by*: how long the
                call may take, and how it shares the session with others. *on_fatal*: whether it
                stops when nothing more can be sent. docs/options.md tells all.

        Returns:
            The stream; its outcomes are one for each image.

        Raises:
            OptionError: An option is outside its allowed values.
            SessionStateError: The session is not open.
        """
        options = CallOptions.of(waiting, lang=lang, ordered=ordered)
        return self._open().stream(images, Reading(prompt), options)

    async def read_all(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        **waiting: Unpack[BulkWaiting],
    ) -> list[Outcome]:
        """Read images; return (n) outcomes in their order, a `Failure` where one went wrong.

        Raises as `stream` does, and what the iterable itself raises. The error's ``outcomes`` are
        what was done before.
        """
        options = CallOptions.of(waiting, lang=lang)
        return await collect(self._open().stream(images, Reading(prompt), options))

    async def read(
        self,
        image: AnyImage,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        **waiting: Unpack[Waiting],
    ) -> Record:
        """Read one image; return its record.

        Raises:
            OCRError: It was not read.
        """
        options = CallOptions.of(waiting, lang=lang, is_single=True)
        return await self._open().read_one(image, Reading(prompt), options)

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
        **waiting: Unpack[BulkWaiting],
    ) -> Stream[T]:
        """Have the language model fill in a class from each image; all else as for `stream`.

        *cls* is an attrs class, a dataclass or a TypedDict, with fields of plain types, lists,
        enums, dates, decimals and more such classes; ``metadata={"description": ...}`` or
        ``Annotated[X, "..."]`` describes a field. *instructions* are what else the model should
        know; an image's own prompt takes their place. An image whose completion does not fit is
        asked about again up to *max_reasks* times, with what was wrong; each time costs as the
        first.

        Returns:
            The stream; the ``value`` of an outcome is an instance of *cls*. Where a completion
            does not fit, the outcome is a `Failure` with an `ExtractionError`, and was paid for.

        Raises:
            OptionError: *cls* cannot be described in a prompt, and as for `stream`.
        """
        options = CallOptions.of(waiting, lang=lang, ordered=ordered)
        question = _fill_in(cls, instructions, max_reasks)
        return self._open().stream(images, question, options)

    async def extract_all(
        self,
        images: Images,
        cls: type[T],
        *,
        instructions: str = "",
        max_reasks: int = 0,
        lang: str = DEFAULT_LANGUAGE,
        **waiting: Unpack[BulkWaiting],
    ) -> list[Outcome[T]]:
        """As `extract_stream`; return (n) outcomes in the order of the images."""
        options = CallOptions.of(waiting, lang=lang)
        question = _fill_in(cls, instructions, max_reasks)
        return await collect(self._open().stream(images, question, options))

    async def extract(
        self,
        image: AnyImage,
        cls: type[T],
        *,
        instructions: str = "",
        max_reasks: int = 0,
        lang: str = DEFAULT_LANGUAGE,
        **waiting: Unpack[Waiting],
    ) -> T:
        """As `extract_stream`, of one image; return the instance of *cls*.

        Raises:
            ExtractionError: The completion does not fit; the error has its faults and the record.
            OCRError: There is no completion.
        """
        options = CallOptions.of(waiting, lang=lang, is_single=True)
        question = _fill_in(cls, instructions, max_reasks)
        return await self._open().read_one(image, question, options)

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
        **waiting: Unpack[BulkWaiting],
    ) -> "Job":
        """Submit images to be read later, in asynchronous requests of up to 10.

        *on_id* is called with each id as soon as it is known. What is done is reported to
        *webhook*; a receiver in this program wakes the job, too. *type* and *endpoint* are not
        published for OCR: ``ocr`` is a guess; the endpoint is ``read``, or ``read_gpt`` where
        there is a prompt, unless it is given. All else as for `stream`.

        An image that cannot be submitted is a `Failure` among the job's outcomes. A submission is
        never repeated once it may have reached the service: where its response is lost, its images
        fail as maybe billed.

        Returns:
            The job; store its ``ids``.
        """
        from ximilar_ocr_async._jobs import Submission  # noqa: PLC0415 - as below

        if on_id is not None and not callable(on_id):
            raise OptionError(f"on_id is {kind_of(on_id)}, expected a function of an id")
        options = CallOptions.of(waiting, lang=lang)
        runtime = self._open()
        submission = Submission.begin(
            prompt,
            runtime.getter,
            runtime.complete(CallOptions()),
            type=type,
            endpoint=endpoint,
            webhook=webhook,
        )
        stream = runtime.stream(images, submission, options, submission.make_request)
        return await submission.run(stream, on_id)

    def job(self, ids: str | Iterable[str], *, webhook: "WebhookReceiver | None" = None) -> "Job":
        """Take a job up again by the *ids* of its requests; deliveries to *webhook* wake it.

        That one of them does not exist turns out when its outcomes are asked for.
        """
        from ximilar_ocr_async._jobs import Job  # noqa: PLC0415 - as below

        runtime = self._open()
        runtime.guard.check()
        return Job.resume(ids, runtime.getter, runtime.complete(CallOptions()), webhook)

    def jobs(
        self,
        *,
        status: str | None = None,
        type: str | None = None,  # noqa: A002 - as above
        deadline: float | None = None,
        outage_timeout: float | None = None,
    ) -> "JobList":
        """Iterate over the account's asynchronous requests, all or those of a status or type.

        Args:
            status: Such as ``DONE``.
            type: Such as ``ocr``.
            deadline: [s] that the request for one page may take in all.
            outage_timeout: [s] of an outage that it waits for, before the session's own.
        """
        from ximilar_ocr_async._jobs import JobList  # noqa: PLC0415 - as below

        runtime = self._open()
        runtime.guard.check()
        options = CallOptions(deadline=deadline, outage_timeout=outage_timeout)
        return JobList.of(runtime.getter, runtime.complete(options), status=status, type=type)

    # ---- the account

    async def account(
        self, *, deadline: float | None = None, outage_timeout: float | None = None
    ) -> Account:
        """Return the account that the token belongs to. It costs nothing.

        Args:
            deadline: [s] that the call may take in all.
            outage_timeout: [s] of an outage that it waits for; by default up to 30 s.

        Raises:
            OCRError: The service cannot be asked, or refuses the token.
        """
        options = CallOptions(deadline=deadline, outage_timeout=outage_timeout)
        runtime = self._open()
        completed = runtime.complete_single(options)
        document = await runtime.getter.get(DETAILS, completed)
        return await runtime.getter.decode(lambda: decode_account(document), document.size)

    async def check(
        self, *, deadline: float = CHECK_DEADLINE, outage_timeout: float | None = None
    ) -> None:
        """Prove that the service can be reached and takes the token. It costs nothing.

        What the session's own traffic tells is enough: an answer within the last 30 s, or an
        outage. The service is only asked if that tells nothing.

        Args:
            deadline: [s] that the check may take in all.
            outage_timeout: [s] of an outage that it waits for; by default until the deadline.

        Raises:
            OCRError: It cannot, or does not; the message says what to do.
        """
        runtime = self._open()
        runtime.guard.check()
        slots = runtime.scheduler.slots
        if slots.is_alive(runtime.tenant):
            return
        try:
            if trouble := slots.trouble():
                raise trouble
            await self.account(deadline=deadline, outage_timeout=outage_timeout)
        except OCRError as error:
            raise advise(error) from None


def _fill_in(cls: type[T], instructions: str, max_reasks: int) -> Question[T]:
    # Loaded when it is first asked: in most programs that is never.
    from ximilar_ocr_async._extraction import Extraction  # noqa: PLC0415

    return Extraction(cls, instructions, max_reasks)
