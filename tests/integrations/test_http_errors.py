"""Errors as answers to HTTP clients."""

import pytest

import ximilar_ocr_async
from tests.docs.pages import code_words, page
from ximilar_ocr_async import AuthError, ImageError, OCRError, Overloaded
from ximilar_ocr_async.integrations import answer_to


class OutOfCredits(AuthError):
    """An error that this package may come to have."""


def test_every_error_has_the_status_that_the_table_gives() -> None:
    """Each class of error is answered as the manual says, and subclasses as their bases."""
    told = {
        getattr(ximilar_ocr_async, name): int(row[1])
        for row in page("web-backends").table("Errors")
        for name in code_words(row[0])
    }
    exported = [getattr(ximilar_ocr_async, name) for name in ximilar_ocr_async.__all__]
    errors = [one for one in exported if isinstance(one, type) and issubclass(one, OCRError)]
    for error in (*errors, OutOfCredits):
        expected = next((told[base] for base in error.__mro__ if base in told), 503)
        body, status, headers = answer_to(error("token and all"))
        assert (status, headers) == (expected, {}), error
        assert (body == {"detail": "token and all"}) == (status == 422)


@pytest.mark.parametrize("wait, told", [(6.2, "7"), (0.0, "1"), (90.0, "90")])
def test_the_wait_is_in_whole_seconds(wait: float, told: str) -> None:
    """What is known of when to come again is told, rounded up, and never none."""
    assert answer_to(Overloaded("too much", retry_after=wait)).headers == {"Retry-After": told}


def test_what_the_client_did_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Only what the backend can mend is logged, under a name that stays."""
    answer_to(ImageError("no image"))
    assert caplog.records == []
    answer_to(Overloaded("too much"))
    assert [record.name for record in caplog.records] == ["ximilar_ocr_async.integrations"]
