"""Images to be read later in, a job out."""

from collections.abc import Callable
from typing import Any, ClassVar

import anyio
from attrs import define, evolve, field

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE
from ximilar_ocr_async._jobs.job import Job, Part
from ximilar_ocr_async._jobs.receiver import WebhookReceiver
from ximilar_ocr_async._protocol import SubmitRequest, Webhook
from ximilar_ocr_async._scheduling import CallOptions, Item, JSONGetter, Reading, Result
from ximilar_ocr_async.errors import OCRError, with_reason
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.outcomes import Failure, carry


@define(eq=False)
class Submission:
    """A call that submits images: it asks what a reading asks, and writes each id into its job.

    Attributes:
        reading: What is asked of each image.
        job: What was submitted.
        type: Of the service that reads them.
        endpoint: Of that service; by default that of a reading.
        webhook: Where the service reports what is done.
    """

    reading: Reading
    job: Job
    type: str
    endpoint: str | None
    webhook: Webhook | None
    kind: ClassVar[str] = "submit"
    # Records that the session had sent before.
    _sent_before: int = field(init=False)

    @classmethod
    def begin(
        cls,
        prompt: str | None,
        getter: JSONGetter,
        options: CallOptions,
        *,
        type: str,  # noqa: A002 - the service's own word
        endpoint: str | None,
        webhook: "Webhook | WebhookReceiver | None",
    ) -> "Submission":
        """Return a submission with a job that is empty yet; the options are those of the job."""
        receiver = webhook if isinstance(webhook, WebhookReceiver) else None
        hook = webhook.reached_at() if isinstance(webhook, WebhookReceiver) else webhook
        job = Job(getter, options, receiver)
        submission = cls(Reading(prompt), job, type, endpoint, hook)
        # What is no option of a request is said before any image is pulled.
        submission.make_request("read", DEFAULT_LANGUAGE)
        return submission

    def __attrs_post_init__(self) -> None:
        self._sent_before = self.job.getter.tenant.accounting.sent

    def make_request(self, endpoint: str, lang: str) -> SubmitRequest:
        """Make the request for images of one endpoint and language."""
        own = endpoint if self.endpoint is None else self.endpoint
        return SubmitRequest(own, lang, self.type, self.webhook)

    @property
    def prepare(self) -> None:
        """Nothing is made of an id."""

    def prompt_for(self, image: Image) -> str | None:
        """Return the image's own prompt, else that of the call."""
        return self.reading.prompt_for(image)

    def interpret(self, item: Item, result: Result) -> Any:
        """Write down at once what became of an image; return something for the stream to yield."""
        if isinstance(result, OCRError):
            outcome = self.reading.interpret(item, result)
            self.job.failures.append(self._explained(outcome))
            return outcome
        parts, now = self.job.parts, anyio.current_time()
        part = parts.setdefault(result, Part(item.index, submitted=now))
        part.first = min(part.first, item.index)
        # What is read later need not wait in memory.
        is_light = not isinstance(item.image.source, bytes)
        part.images[item.index] = item.image if is_light else evolve(item.image, source=b"")
        return item

    def _explained(self, failure: Any) -> Failure:
        if failure.maybe_billed:
            reason = "it may have been taken all the same, see session.jobs()"
            failure = evolve(failure, error=with_reason(failure.error, reason))
        submitted: Failure = failure
        return submitted

    async def run(self, stream: Any, on_id: Callable[[str], object] | None) -> Job:
        """Submit all images of a *stream*; call *on_id* with each id as soon as it is known."""
        known: set[str] = set()
        try:
            async with stream:
                async for _ in stream:
                    if on_id:
                        new = [i for i in self.job.parts if i not in known]
                        known.update(new)
                        for request_id in new:
                            on_id(request_id)
        except BaseException as error:
            carry(error, self.job.failures)
            self._add_notes(error)
            raise
        return self.job

    def _add_notes(self, error: BaseException) -> None:
        """Say what was submitted before the *error*, and what may have been."""
        parts = self.job.parts
        if parts:
            error.add_note(f"submitted before: {', '.join(self.job.ids)}")
        known = self._sent_before + sum(len(part.images) for part in parts.values())
        if self.job.getter.tenant.accounting.sent > known:
            error.add_note("what was on its way may have been submitted too: session.jobs()")
