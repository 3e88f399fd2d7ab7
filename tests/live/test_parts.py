"""The parts of a run: the budget, the options, what is sent and what is redacted."""

import base64
import subprocess
from pathlib import Path

import anyio
import pytest
from _lib.live.books import Books, Budget
from _lib.live.pictures import SIZE, TURNED, Pictures, pad
from _lib.live.wire import Place
from hypothesis import given
from hypothesis import strategies as st
from live import main, read_options

from ximilar_ocr_async.emulator.engines.local import LocalEngine
from ximilar_ocr_async.testing.service import Reading

PLACE = Place("http://127.0.0.1:1", "abc")
BILLS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans(), st.booleans())


@given(limit=st.integers(0, 200), bills=st.lists(BILLS))
def test_a_budget_is_never_exceeded(limit: int, bills: list[tuple[int, int, bool, bool]]) -> None:
    """Whatever steps cost, up to their worst, and whether that is told: the sum stays within."""
    budget, spent = Budget(limit, Books(PLACE, 0)), 0
    for worst, cost, is_told, is_final in bills:
        if worst <= budget.left:
            bill = min(cost, worst)
            spent += bill
            budget.charge(worst, bill if is_told else None, is_final=is_final)
    assert spent <= limit


def test_a_bill_that_comes_late_counts() -> None:
    """What the account shows is spent, whatever the steps were charged."""
    budget = Budget(100, Books(PLACE, 0, first=500, last=440))
    budget.charge(5, 0, is_final=True)
    assert budget.left == 40


@pytest.mark.parametrize(
    "environment, words",
    [
        ({"TOKEN": "abc"}, "CREDITS is not a number"),
        ({"TOKEN": "abc", "CREDITS": "s3cret"}, "CREDITS is not a number"),
        ({"TOKEN": "abc", "CREDITS": "-1"}, "CREDITS is not a number"),
        ({"CREDITS": "100"}, "TOKEN is empty or not all visible ASCII"),
        ({"TOKEN": "s3cret\u00e9", "CREDITS": "100"}, "TOKEN is empty or not all visible ASCII"),
        ({"TOKEN": "abc", "CREDITS": "100", "URL": "s3cret"}, "URL is not https"),
        ({"TOKEN": "abc", "CREDITS": "100", "URL": "http://x:s3cret"}, "URL is not https"),
        ({"TOKEN": "abc", "CREDITS": "100", "URL": "http://x.example"}, "URL is not https"),
    ],
)
def test_nothing_is_sent_without_token_and_credits(
    environment: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error says what is missing, and never shows the value."""
    for name in ("TOKEN", "CREDITS", "URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    told = capsys.readouterr()
    assert words in told.err
    assert "s3cret" not in told.out + told.err


def test_the_real_service_is_asked_unless_told_otherwise() -> None:
    """A token may come with the word that it is sent with."""
    place, budget = read_options({"TOKEN": " Token abc ", "CREDITS": "100", "URL": ""})
    assert (place.url, place.token, budget) == ("https://api.ximilar.com", "abc", 100)
    assert "abc" not in repr(place)


def test_make_does_not_print_the_token() -> None:
    """It hands the token on without showing it in the command."""
    root = Path(__file__).parent.parent.parent
    words = ["make", "--dry-run", "live", "TOKEN=s3cret", "CREDITS=100"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    assert "live.py" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("token", ["abc/+", 'a"b'])
def test_the_token_is_redacted_in_every_form(token: str) -> None:
    """Whether in capitals, in a URL or in JSON, it is taken out."""
    place = Place("http://127.0.0.1:1", token)
    forms = {token, token.upper(), "abc%2F%2B" if "/" in token else 'a\\"b'}
    for form in forms:
        assert place.redact(f"Token {form}!".encode()) == b"Token ***!"


@pytest.mark.parametrize("orientation", [1, TURNED])
def test_the_pictures_can_be_read(orientation: int) -> None:
    """Real OCR finds the digits, in an upright picture and in one that is stored on its side."""
    pictures = Pictures()

    async def read() -> Reading:
        image = base64.b64decode(pictures.draw(7, orientation))
        return await LocalEngine(cores=1).read(image, "en")

    reading = anyio.run(read)
    assert (reading.width, reading.height) == SIZE
    assert pictures.code(7) in reading.full_text


def test_a_padded_body_has_its_size_and_is_still_base64() -> None:
    """The zeros stand behind the picture, which stays as it was."""
    picture = Pictures().draw(1).encode()
    body = b"".join(pad(b'"' + picture, b'"', b"A", 1_000_000))
    assert 900_000 < len(body) <= 1_000_000
    image = base64.b64decode(body.strip(b'"'), validate=True)
    assert image.rstrip(b"\0") == base64.b64decode(picture).rstrip(b"\0")
