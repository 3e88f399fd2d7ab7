"""The token is found and cleaned, and shows itself to nobody but the service."""

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._http.auth import ENVIRONMENT, Token
from ximilar_ocr_async.errors import OptionError

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
SECRET = "0123456789abcdef"


def _sent(token: Token) -> str:
    """Return the header that *token* puts on a request."""
    return token.sign(httpx.Request("POST", "https://api.example/")).headers["Authorization"]


def _everything_shown(error: BaseException) -> str:
    """Return what a crash reporter would: message, traceback and locals below this file."""
    assert error.__traceback__ is not None
    below = error.__traceback__.tb_next
    told = traceback.TracebackException(type(error), error, below, capture_locals=True)
    return "".join(told.format()) + repr(error)


@pytest.fixture(autouse=True)
def _no_token_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@given(value=VISIBLE, scheme=st.sampled_from(["", "Token ", "token\t", "Bearer  ", "BEARER "]))
@pytest.mark.parametrize("make", [Token, Token.find])
def test_a_token_signs_with_one_scheme(
    make: Callable[[str], Token], value: str, scheme: str
) -> None:
    """However the token was pasted, with a scheme or a newline, it is sent as one Token."""
    assert _sent(make(f" {scheme}{value}\r\n")) == f"Token {value}"


def test_sign_returns_the_request_it_signed() -> None:
    """Signing hands back the very request, as an HTTP client's auth callable must."""
    request = httpx.Request("POST", "https://api.example/")
    assert Token(SECRET).sign(request) is request


@given(before=VISIBLE, bad=st.characters(exclude_characters="".join(map(chr, range(0x21, 0x7F)))))
@pytest.mark.parametrize("make", [Token, Token.find])
def test_a_stray_character_is_refused_unseen(
    make: Callable[[str], Token], before: str, bad: str
) -> None:
    """A token with a character that no header takes is refused without being shown."""
    with pytest.raises(OptionError) as caught:
        make(SECRET + before + bad + SECRET)
    assert SECRET not in _everything_shown(caught.value)


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_token_is_refused(empty: str) -> None:
    """A token of nothing is an error, and is not made up for from the environment."""
    with pytest.raises(OptionError, match="is empty or"):
        Token.find(empty)


@pytest.mark.parametrize("value", [b"secret-of-a-test", 7, ["secret-of-a-test"]])
def test_what_is_no_text_is_no_token(value: Any) -> None:
    """A token of another type is an error that tells the type and not the value."""
    with pytest.raises(OptionError, match=type(value).__name__) as caught:
        Token.find(value)
    assert "secret-of-a-test" not in _everything_shown(caught.value)


@pytest.mark.parametrize(
    "environment, sent",
    [
        ({"XIMILAR_API_TOKEN": "first", "XIMILAR_API_KEY": "second"}, "Token first"),
        ({"XIMILAR_API_KEY": "second"}, "Token second"),
        ({"XIMILAR_API_TOKEN": "", "XIMILAR_API_KEY": "second\n"}, "Token second"),
    ],
)
def test_the_environment_is_asked_in_order(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sent: str
) -> None:
    """Without a token given, the first variable that holds something is taken."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _sent(Token.find(None)) == sent


def test_a_token_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is given wins over the environment, and a ready one is taken as it is."""
    monkeypatch.setenv("XIMILAR_API_TOKEN", "environment")
    ready = Token(SECRET)
    assert Token.find(ready) is ready
    assert _sent(Token.find("given")) == "Token given"


def test_a_bad_token_in_the_environment_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token from the environment is checked and hidden like any other."""
    monkeypatch.setenv("XIMILAR_API_KEY", f"{SECRET}é")
    with pytest.raises(OptionError) as caught:
        Token.find(None)
    assert SECRET not in _everything_shown(caught.value)


def test_no_token_says_where_to_get_one() -> None:
    """Without any token the error names the variables and the place that gives tokens."""
    with pytest.raises(OptionError) as caught:
        Token.find(None)
    for told in (*ENVIRONMENT, "https://app.ximilar.com"):
        assert told in str(caught.value)


def test_a_token_does_not_show_itself() -> None:
    """No repr, format, attribute dictionary, pickle or copy gives the token away."""
    token = Token(SECRET)
    assert f"{token} {token!r}" == "Token(***) Token(***)"
    assert not hasattr(token, "__dict__")
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            leave(token)


SECRET_TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "said, shown",
    [
        (f"Token {SECRET_TOKEN} is bad", "Token *** is bad"),
        (f"{SECRET_TOKEN}{SECRET_TOKEN}", "******"),
        *((f"cut: {SECRET_TOKEN[:n]}", "cut: ***") for n in (8, 20, 39)),
        (f"cut: {SECRET_TOKEN[:30]}... (99 characters)", "cut: ***... (99 characters)"),
        ("".join(f"\\u{ord(c):04x}" for c in SECRET_TOKEN), "***"),
        ("".join(f"\\u{ord(c):04X}" for c in SECRET_TOKEN[:20]), "***"),
        (f"\\u0030{SECRET_TOKEN[1:]}!", "***!"),
        (f"0 {SECRET_TOKEN[:7]} \\u00e9", f"0 {SECRET_TOKEN[:7]} \\u00e9"),
        ("no token \\u0030", "no token \\u0030"),
    ],
)
def test_a_token_is_masked_in_part_and_in_escapes(said: str, shown: str) -> None:
    """What is cut ends with a part of it, and what is no JSON has escapes."""
    assert Token(SECRET_TOKEN).mask(said) == shown
    assert Token("short").mask("short") == "short"
