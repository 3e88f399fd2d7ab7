"""Checks of arguments: a value in; for a bad one, an error that names the value and the limit."""

import inspect
import ipaddress
from collections.abc import Iterable
from math import inf, isfinite
from typing import Any
from urllib.parse import unquote, urlsplit

from ximilar_ocr_async._constants import (
    BYTES_PER_TOKEN,
    LANGUAGES,
    MAX_PROMPT_TOKENS,
    MAX_REQUEST_ID,
)
from ximilar_ocr_async.errors import OptionError, shown

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")

MAX_SOCKS_WORD = 255
"""The longest user or password [bytes]. Source: RFC 1929."""


def without_secrets(url: str) -> str:
    """Return the repr of *url*, with asterisks for its user, password and query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    user, query = "***@" if at else "", "***" if parts.query else ""
    return repr(parts._replace(netloc=user + host, query=query, fragment="").geturl())


def check_language(lang: str) -> str:
    """Return *lang*; raise `OptionError` if the service does not read it."""
    if not isinstance(lang, str) or lang not in LANGUAGES:
        raise OptionError(f"lang is {lang!r}, allowed are {', '.join(LANGUAGES)}")
    return lang


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise `OptionError` if *value* is below *least* or is not a number of the same kind.

    Args:
        name: The name of the option.
        value: The value to check: an `int` if *least* is an `int`, otherwise any finite number.
        least: The smallest allowed value.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_real = isinstance(least, float) and isinstance(value, float) and isfinite(value)
    if not (is_whole or is_real) or value < least:
        kind = "whole number" if isinstance(least, int) else "number"
        raise OptionError(f"{name} is {value!r}, expected a {kind} of at least {least}")


def check_outage_timeout(outage_timeout: float) -> None:
    """Raise `OptionError` if *outage_timeout* is neither infinite nor a number of seconds."""
    if outage_timeout != inf:
        check_at_least("outage_timeout", outage_timeout, 0.0)


def check_prompt(prompt: str, name: str = "prompt") -> str:
    """Return *prompt*; raise `OptionError` if it is blank or too long for the service.

    Args:
        prompt: The prompt for the language model.
        name: What the error message calls it.
    """
    if not isinstance(prompt, str):
        raise OptionError(f"{name} is a {type(prompt).__name__}, expected a string")
    if not prompt.strip():
        raise OptionError(f"{name} is blank, so there is nothing to ask")
    tokens = -(-len(prompt.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)
    if tokens > MAX_PROMPT_TOKENS:
        raise OptionError(f"{name} is about {tokens:,} tokens, the limit is {MAX_PROMPT_TOKENS:,}")
    return prompt


def check_request_id(request_id: str) -> None:
    """Raise `OptionError` if *request_id* cannot be the id of an asynchronous request."""
    is_word = isinstance(request_id, str) and request_id not in {"", ".", ".."}
    if not is_word or len(request_id) > MAX_REQUEST_ID or not request_id.isprintable():
        told = shown(repr(request_id))
        raise OptionError(f"id is {told}, expected that of an asynchronous request")


def check_request_ids(ids: str | Iterable[str]) -> list[str]:
    """Return *ids* as a list; raise `OptionError` if one cannot be that of a request."""
    if not isinstance(ids, Iterable):
        raise OptionError(f"ids is a {type(ids).__name__}, expected those of asynchronous requests")
    given = [ids] if isinstance(ids, str) else list(ids)
    for request_id in given:
        check_request_id(request_id)
    return given


def check_base_url(url: str, name: str = "base_url") -> None:
    """Raise `OptionError` if *url* is not a URL, or if using it would expose the token.

    Args:
        url: The service's address. Neither message nor traceback shows a password in it.
        name: What the error message calls it.
    """
    fault = _fault_of_base_url(url)
    if fault:
        del url
        raise OptionError(f"{name} {fault}")


def _fault_of_base_url(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL, expected https://HOST"
    if "@" in parts.netloc:
        return "is not allowed to name a user; the token goes into a header"
    # Before the @ of what is no URL there may be a password, too.
    told = "is not a URL" if "@" in url else f"is {url!r}"
    if parts.scheme not in {"http", "https"} or not host:
        return f"{told}, expected https://HOST"
    if parts.scheme == "http" and not is_loopback(host):
        return f"{told}, plain http is allowed only to this machine"
    return None


def check_proxy(url: str, name: str = "proxy") -> None:
    """Raise `OptionError` if *url* is not that of a proxy.

    Args:
        url: The URL. Neither message nor traceback shows it, because it may hold a password.
        name: What the error message calls it.
    """
    fault = _fault_of_proxy(url)
    if fault:
        del url
        raise OptionError(f"{name} {fault}")


def _fault_of_proxy(url: str) -> str | None:
    expected = f"expected a URL such as http://HOST:PORT, with {', '.join(PROXY_SCHEMES)}"
    if not isinstance(url, str):
        return f"is a {type(url).__name__}, {expected}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        sizes = [len(unquote(word or "").encode()) for word in (parts.username, parts.password)]
        is_url = "://" in url and "@" not in "".join(parts[2:])
    except ValueError:
        is_url = False
    if not is_url:
        escapes = "in a user or password write / as %2F, ? as %3F and # as %23"
        return f"is not a URL, {expected}; {escapes}"
    if parts.scheme not in PROXY_SCHEMES:
        return f"has the scheme {parts.scheme!r}, {expected}"
    if not host:
        return f"names no host, {expected}"
    if parts.scheme.startswith("socks") and max(sizes) > MAX_SOCKS_WORD:
        limit = f"the limit is {MAX_SOCKS_WORD}"
        return f"has a user or password of {max(sizes)} bytes, {limit}"
    return None


def check_client(client: object) -> None:
    """Raise `OptionError` if *client* is not an open one of httpx or httpx2, for async use."""
    is_async = all(hasattr(client, name) for name in ("build_request", "send", "aclose"))
    if isinstance(client, type) or not is_async:
        article, kind = ("the class", client) if isinstance(client, type) else ("a", type(client))
        raise OptionError(
            f"http_client is {article} {kind.__module__}.{kind.__qualname__}, "
            "expected an instance of httpx.AsyncClient or httpx2.AsyncClient"
        )
    if getattr(client, "is_closed", False):
        raise OptionError("http_client is closed, expected an open one")


def check_listener(listener: object) -> None:
    """Raise `OptionError` if *listener* cannot be called with events, synchronously."""
    if isinstance(listener, type):
        told = f"the class {listener.__qualname__}"
    elif not callable(listener):
        told = f"a {type(listener).__name__}"
    elif any(_is_async(call) for call in (listener, type(listener).__call__)):
        told = "async or a generator, and would never be run"
    else:
        return
    raise OptionError(f"on_event is {told}; expected a plain function that takes an event")


def _is_async(call: Any) -> bool:
    return any(
        is_kind(call)
        for is_kind in (
            inspect.iscoroutinefunction,
            inspect.isasyncgenfunction,
            inspect.isgeneratorfunction,
        )
    )


def check_account_name(name: str | None, token: str) -> None:
    """Raise `OptionError` if *name* is no word for events to call an account by.

    Args:
        name: The name, if there is one.
        token: The account's token, which must not stand in it.
    """
    if name is None:
        return
    if not isinstance(name, str):
        fault = f"is a {type(name).__name__}, expected a string such as a tenant's name"
    elif token.strip() in name:
        fault = "holds the token, expected what may stand in logs"
    else:
        return
    del token
    raise OptionError(f"name {fault}")


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
