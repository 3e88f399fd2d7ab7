"""The images of a case, and how each of them is to end."""

from collections.abc import Iterator

from attrs import frozen

from ximilar_ocr_async import Image, OCRError, Outcome


def pictures(count: int, size: int = 0) -> list[Image]:
    """Return images by URL, or of *size* [bytes]; each brings its name to the service."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(size)
    return [
        Image(png if size else f"https://images.example/{n}.jpg", extra={"name": f"image-{n}"})
        for n in range(count)
    ]


def name_of(image: Image) -> str:
    """Return the name under which the server bills an image."""
    return str(image.extra["name"])


@frozen
class Expect:
    """How an image is to end.

    Attributes:
        error: Exact class of its error. None when the image is to be read.
        attempts: Number of attempts that it takes. None for any number.
        maybe_billed: Whether its outcome says so. None for either.
        says: Words in the error's message.
    """

    error: type[OCRError] | None
    attempts: int | None
    maybe_billed: bool | None
    says: str

    def complain(self, outcome: Outcome) -> Iterator[str]:
        """Yield what is not as expected."""
        error = None if outcome.ok else outcome.error
        if type(error) is not (self.error or type(None)):
            yield f"ended with {error!r}"
        if self.attempts not in {None, outcome.attempts}:
            yield f"took {outcome.attempts} attempts"
        if self.maybe_billed not in {None, outcome.maybe_billed}:
            yield f"maybe_billed is {outcome.maybe_billed}"
        if self.says not in str(error):
            yield f"does not say {self.says!r}: {error}"


def reads(*, attempts: int | None = 1, maybe_billed: bool | None = False) -> Expect:
    """Expect an image to be read."""
    return Expect(None, attempts, maybe_billed, "")


def fails(
    error: type[OCRError],
    *,
    attempts: int | None = 1,
    maybe_billed: bool | None = False,
    says: str = "",
) -> Expect:
    """Expect an image not to be read."""
    return Expect(error, attempts, maybe_billed, says)
