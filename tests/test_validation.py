"""The facts of the service are guarded: what it does not know never leaves the program."""

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE, LANGUAGES
from ximilar_ocr_async._validation import (
    check_at_least,
    check_base_url,
    check_language,
    check_proxy,
)
from ximilar_ocr_async.errors import OptionError, in_one_line, shown


@pytest.mark.parametrize("lang", [*LANGUAGES, DEFAULT_LANGUAGE])
def test_every_language_of_the_service_passes(lang: str) -> None:
    """A language that the service knows comes back as it is."""
    assert check_language(lang) == lang


@given(lang=st.text() | st.sampled_from(["EN", "english", "en ", "de"]))
def test_any_other_language_is_refused_with_the_choice(lang: str) -> None:
    """A language that the service does not know is an error that names it and the choice."""
    if lang in LANGUAGES:
        return
    with pytest.raises(OptionError) as caught:
        check_language(lang)
    assert str(caught.value) == f"lang is {lang!r}, allowed are en, zh, ko, ja, ru"


@given(least=st.integers(-9, 9), above=st.integers(0), more=st.floats(0, 1e9))
def test_numbers_from_the_least_on_pass(least: int, above: int, more: float) -> None:
    """The least itself and every number of its kind above it pass."""
    check_at_least("count", least + above, least)
    check_at_least("outage_timeout", least + more, float(least))


@pytest.mark.parametrize("least, kind", [(1, "whole number"), (1.0, "number")])
@pytest.mark.parametrize(
    "value", [0, -1, 0.999, math.inf, -math.inf, math.nan, True, "3", None, [3], 3j]
)
def test_what_is_too_small_or_no_number_is_refused(value: Any, least: float, kind: str) -> None:
    """Too little, infinity and what is no number are errors that say what is allowed."""
    with pytest.raises(OptionError) as caught:
        check_at_least("outage_timeout", value, least)
    assert (
        str(caught.value) == f"outage_timeout is {value!r}, expected a {kind} of at least {least}"
    )


def test_counts_are_whole() -> None:
    """Half an attempt is none."""
    with pytest.raises(OptionError, match="whole number"):
        check_at_least("attempts", 2.5, 1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.ximilar.com",
        "ftp://api.ximilar.com",
        "https://",
        "https://user:password@api.ximilar.com",
        "http://api.ximilar.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://[::1",
        f"https://{'a.' * 127}example",
    ],
)
def test_base_urls_that_endanger_the_token_are_refused(url: str) -> None:
    """The address is https, or plain http to this machine, and names no user."""
    with pytest.raises(OptionError, match="base_url is"):
        check_base_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://api.ximilar.com", "http://localhost:8000", "http://127.0.0.1", "http://[::1]:80/x"],
)
def test_base_urls_may_be_https_or_loopback(url: str) -> None:
    """These addresses are taken."""
    check_base_url(url)


@given(st.text())
def test_any_text_as_a_base_url_is_taken_or_refused(url: str) -> None:
    """No text breaks the check."""
    with contextlib.suppress(OptionError):
        check_base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cret@host",
        "https://user:s3cret/@host",
        "https:user:s3cret@host",
        "https:/user:s3cret@host",
        "user:s3cret@host",
        "http://host/user:s3cret@host",
    ],
)
def test_no_message_shows_the_password_in_a_base_url(url: str) -> None:
    """A user is refused without being shown, whatever the URL is taken for."""
    with pytest.raises(OptionError) as caught:
        check_base_url(url, "--base-url")
    assert str(caught.value).startswith("--base-url is not ")
    assert "s3cret" not in str(caught.value)


# ---- proxies

EXPECTED = "expected a URL such as http://HOST:PORT, with http, https, socks5, socks5h"


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy",
        "https://proxy:8443/",
        "HTTP://[::1]:3128",
        "socks5://10.0.0.1:1080",
        "socks5h://user:password@proxy",
        "http://user@proxy",
        "http://:p%40ss%2Fword@proxy:1",
        f"socks5://{'u' * 255}:{'%40' * 255}@proxy",
        f"http://{'u' * 256}:{'p' * 256}@proxy",
    ],
)
def test_proxies_of_each_kind_pass(url: str) -> None:
    """A proxy has one of the schemes and a host, and maybe a port, a user and a password."""
    check_proxy(url)


@pytest.mark.parametrize(
    "url, fault",
    [
        (b"http://proxy", f"is a bytes, {EXPECTED}"),
        (3128, f"is a int, {EXPECTED}"),
        ("", f"is not a URL, {EXPECTED}; in a user or password write / as %2F"),
        ("proxy:3128", f"is not a URL, {EXPECTED}; "),
        ("s3cret:@proxy:3128", f"is not a URL, {EXPECTED}; "),
        ("http://user:s3cret/@proxy", f"is not a URL, {EXPECTED}; "),
        ("http://user:12/s3cret@proxy", f"is not a URL, {EXPECTED}; "),
        ("http://user:12?s3cret@proxy", f"is not a URL, {EXPECTED}; "),
        ("http://user:12#s3cret@proxy", f"is not a URL, {EXPECTED}; "),
        ("http://proxy:65536", f"is not a URL, {EXPECTED}; "),
        ("http://[::1", f"is not a URL, {EXPECTED}; "),
        ("http://user:s3cret\udcff@proxy", f"is not a URL, {EXPECTED}; "),
        ("ftp://user:s3cret@proxy", f"has the scheme 'ftp', {EXPECTED}"),
        ("socks4://proxy", f"has the scheme 'socks4', {EXPECTED}"),
        ("://proxy", f"has the scheme '', {EXPECTED}"),
        ("http://", f"names no host, {EXPECTED}"),
        ("http://user:s3cret@", f"names no host, {EXPECTED}"),
        ("http://:3128", f"names no host, {EXPECTED}"),
        (f"socks5://{'u' * 256}@proxy", "has a user or password of 256 bytes, the limit is 255"),
        (f"socks5h://u:{'é' * 128}@proxy", "has a user or password of 256 bytes, the limit is 255"),
    ],
)
def test_what_is_no_proxy_is_refused(url: Any, fault: str) -> None:
    """The message names the option and what is allowed, and shows no password."""
    for name in ("proxy", "--proxy"):
        with pytest.raises(OptionError) as caught:
            check_proxy(url, name)
        assert str(caught.value).startswith(f"{name} {fault}")
        assert "s3cret" not in str(caught.value)


@given(scheme=st.sampled_from(["http", "socks5", "ftp", ""]), before=st.text(), after=st.text())
def test_no_message_shows_what_a_proxy_is_told(scheme: str, before: str, after: str) -> None:
    """Whatever stands around a password, it is not in the message."""
    try:
        check_proxy(f"{scheme}://{before}s3cret{after}")
    except OptionError as error:
        assert "s3cret" not in str(error)  # noqa: PT017 - not every URL is refused


# ---- words of others


@given(text=st.text(), limit=st.integers(1, 99))
def test_words_of_others_are_shown_in_one_short_line(text: str, limit: int) -> None:
    """Whatever the text, it is printable, and whole or cut with its length."""
    line = shown(text, limit)
    assert line.isprintable()
    assert len(line) < limit + 30
    assert line.startswith(text[:limit]) == text[:limit].isprintable()
    assert in_one_line(text).isprintable()
