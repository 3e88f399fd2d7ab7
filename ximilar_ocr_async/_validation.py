"""Checks of arguments: a value in; nothing out, or an error that names the value and the limit."""

import ipaddress
from math import inf, isfinite
from urllib.parse import urlsplit

from ximilar_ocr_async._constants import BYTES_PER_TOKEN, LANGUAGES, MAX_PROMPT_TOKENS
from ximilar_ocr_async.errors import OptionError


def check_language(lang: str) -> str:
    """Return *lang*; raise `OptionError` when the service does not know it."""
    if not isinstance(lang, str) or lang not in LANGUAGES:
        raise OptionError(f"lang is {lang!r}, allowed are {', '.join(LANGUAGES)}")
    return lang


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise `OptionError` when *value* is below *least*, or no number of its kind.

    Args:
        name: Of the option.
        value: A whole number if *least* is one, else any finite one.
        least: The lowest that is allowed.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    is_fine = whole or (isinstance(least, float) and isinstance(value, float) and isfinite(value))
    if not is_fine or value < least:
        kind = "whole number" if isinstance(least, int) else "number"
        raise OptionError(f"{name} is {value!r}, expected a {kind}, the least is {least}")


def check_outage_timeout(outage_timeout: float) -> None:
    """Raise `OptionError` when *outage_timeout* is no number of seconds; it may be infinite."""
    if outage_timeout != inf:
        check_at_least("outage_timeout", outage_timeout, 0.0)


def check_prompt(prompt: str, name: str = "prompt") -> str:
    """Return *prompt*; raise `OptionError` when it is blank, or too long for the service.

    Args:
        prompt: For the language model.
        name: Of it, for the message.
    """
    if not isinstance(prompt, str):
        raise OptionError(f"{name} is a {type(prompt).__name__}, expected a string")
    if not prompt.strip():
        raise OptionError(f"{name} is blank, so there is nothing to ask")
    tokens = -(-len(prompt.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)
    if tokens > MAX_PROMPT_TOKENS:
        raise OptionError(f"{name} is about {tokens:,} tokens, the limit is {MAX_PROMPT_TOKENS:,}")
    return prompt


def check_base_url(url: str) -> None:
    """Raise `OptionError` for a *url* that is none, or that would put the token at risk."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise OptionError(f"base_url is no URL: {error}") from None
    if "@" in parts.netloc:
        # Not shown: it may hold a password.
        raise OptionError("base_url is to name no user; the token goes into a header")
    if parts.scheme not in {"http", "https"} or not host:
        raise OptionError(f"base_url is {url!r}, expected https://HOST")
    if parts.scheme == "http" and not _is_loopback(host):
        raise OptionError(f"base_url is {url!r}, plain http is allowed to this machine only")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
