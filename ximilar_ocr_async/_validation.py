"""Checks of arguments: a value in; for a bad one, an error that names the value and the limit."""

import inspect
import ipaddress
import re
from collections.abc import Iterable
from datetime import timedelta
from math import inf, isfinite
from typing import Any, Protocol
from urllib.parse import ParseResult, SplitResult, unquote, urlsplit

from ximilar_ocr_async._constants import (
    BYTES_PER_TOKEN,
    LANGUAGES,
    MAX_PROMPT_TOKENS,
    MAX_REQUEST_ID,
)
from ximilar_ocr_async.errors import OptionError, shown

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
PROXY_ESCAPES = "in a user or password write / as %2F, ? as %3F and # as %23"

MAX_SOCKS_WORD = 255
"""The longest user or password [bytes]. Source: RFC 1929."""


MAX_HOST = 253
"""The longest name of a host [characters]. Source: RFC 1035, 2.3.4, without its last byte."""

_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")
_PATH = re.compile(
    r"(/(?!(\.|%2e){1,2}(/|$))([a-z0-9_.~!$&'()*+,;=:@-]|%[0-9a-f]{2})*)*", re.IGNORECASE
)
"""What a host may be [RFC 1035, 2.3.4, and letters of any language], and the path of the service's
address [RFC 3986, 3.3, without dot segments, which lead elsewhere than they say]."""


class URLObject(Protocol):
    """A URL of a library's own class, such as ``httpx.URL``, ``yarl.URL`` or an ``HttpUrl``."""

    @property
    def scheme(self) -> str:
        """Such as ``https``."""
        ...


def text_of_url(value: object) -> str | None:
    """Return the text of an http(s) URL that is an object of a library's; None for all else.

    Their classes have nothing in common but a ``scheme`` with which their text begins.
    """
    try:
        scheme = getattr(value, "scheme", None)
        if not isinstance(scheme, str) or scheme not in {"http", "https"}:
            return None
        text = value.geturl() if isinstance(value, ParseResult | SplitResult) else str(value)
    except Exception:  # noqa: BLE001 - whatever class it is
        return None
    return text if text.startswith(f"{scheme}://") else None


def told(value: object) -> str:
    """Return how a message shows *value*: in one short line, whatever it is."""
    try:
        return shown(repr(value))
    except Exception:  # noqa: BLE001 - a class of the user's, or a number of 5,000 digits
        return kind_of(value)


def kind_of(value: object) -> str:
    """Return what *value* is, without showing it."""
    article, kind = ("the class", value) if isinstance(value, type) else ("a", type(value))
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    hint = "; pass str(url)" if text_of_url(value) else ""
    return f"{article} {module}{kind.__qualname__}{hint}"


def check_kind(name: str, value: object, kind: type, expected: str) -> None:
    """Raise `OptionError` if *value* is not of a *kind*; it is not shown, for it may be secret."""
    if not isinstance(value, kind):
        raise OptionError(f"{name} is {kind_of(value)}, expected {expected}")


def check_flag(name: str, value: object) -> None:
    """Raise `OptionError` if *value* is neither True nor False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} is {told(value)}, expected True or False")


def without_secrets(url: str) -> str:
    """Return the repr of *url*, with asterisks for its user, password and query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    user, query = "***@" if at else "", "***" if parts.query else ""
    return repr(parts._replace(netloc=user + host, query=query, fragment="").geturl())


def check_language(lang: str) -> str:
    """Return *lang*; raise `OptionError` if the service does not read it."""
    if not isinstance(lang, str) or lang not in LANGUAGES:
        raise OptionError(f"lang is {told(lang)}, allowed are {', '.join(LANGUAGES)}")
    return lang


def check_at_least(name: str, value: float, least: float, most: float | None = None) -> None:
    """Raise `OptionError` if *value* is below *least* or is not a number of the same kind.

    Args:
        name: The name of the option.
        value: The value to check: an `int` if *least* is an `int`, otherwise any finite number.
        least: The smallest allowed value.
        most: The largest, if there is one.
    """
    is_number = _is_whole(value) if isinstance(least, int) else _is_real(value)
    if not is_number or value < least or (most is not None and value > most):
        kind = "whole number" if isinstance(least, int) else "number"
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise OptionError(
            f"{name} is {told(value)}, expected a {kind} {limits}{_remedy(value, least)}"
        )


def check_optional(name: str, value: float | None, least: float) -> None:
    """Check *value* as `check_at_least` does, unless it is None."""
    if value is not None:
        check_at_least(name, value, least)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    try:
        # No clock counts to a whole number that no float can hold.
        return (_is_whole(value) or isinstance(value, float)) and isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False


def _remedy(value: object, least: float) -> str:
    """Return what to pass for a number of another library's."""
    if isinstance(value, timedelta):
        return "; pass its total_seconds()"
    kind = type(value)
    is_foreign = not isinstance(value, int | float | type)
    is_number = hasattr(kind, "__index__") or hasattr(kind, "__float__")
    return f"; pass {type(least).__name__}(...)" if is_foreign and is_number else ""


def check_outage_timeout(outage_timeout: float) -> None:
    """Raise `OptionError` if *outage_timeout* is neither infinite nor a number of seconds."""
    if not (isinstance(outage_timeout, float) and outage_timeout == inf):
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
        raise OptionError(f"id is {told(request_id)}, expected that of an asynchronous request")


def check_request_ids(ids: str | Iterable[str]) -> list[str]:
    """Return *ids* as a list; raise `OptionError` if one cannot be that of a request."""
    if not isinstance(ids, Iterable) or isinstance(ids, bytes | bytearray | memoryview):
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


def _fault_of_base_url(url: str) -> str | None:  # noqa: PLR0911 - one for each
    if not isinstance(url, str):
        return f"is {kind_of(url)}, expected https://HOST as a string"
    try:
        parts = urlsplit(url)
        is_place = _names_host(parts)
    except ValueError:
        return "is not a URL, expected https://HOST"
    if "@" in parts.netloc:
        return "is not allowed to name a user; the token goes into a header"
    # What is no URL may be the token, in the wrong place. Before its @ there may be a password, and
    # in a query a key.
    is_url = "://" in url and parts.netloc and "@" not in url
    said = f"is {shown(without_secrets(url))}" if is_url else "is not a URL"
    if parts.scheme not in {"http", "https"} or not is_place:
        return f"{said}, expected https://HOST"
    if "?" in url or "#" in url:
        return f"{said}, with a query or a fragment; expected https://HOST or https://HOST/PATH"
    if not _PATH.fullmatch(parts.path) or not _is_printed(url):
        return f"{said}, with characters that a path may not have; expected https://HOST/PATH"
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return f"{said}, plain http is allowed only to this machine"
    return None


def _names_host(parts: SplitResult) -> bool:
    """Whether a URL names a host, and a port if it names one; raise `ValueError` if it is none."""
    host = parts.hostname or ""
    if len(host) > MAX_HOST:
        return False
    if ":" in host:
        ipaddress.ip_address(host)
    elif not _HOST.fullmatch(host):
        return False
    return parts.port != 0 and not parts.netloc.endswith(":")


def _is_printed(url: str) -> bool:
    """Whether *url* has neither spaces nor what cannot be seen, which parsers of URLs drop."""
    return url.isprintable() and " " not in url


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


def _fault_of_proxy(url: str) -> str | None:  # noqa: PLR0911 - one for each
    expected = f"expected a URL such as http://HOST:PORT, with {', '.join(PROXY_SCHEMES)}"
    if not isinstance(url, str):
        return f"is {kind_of(url)}, {expected}"
    try:
        parts = urlsplit(url)
        host, is_place = parts.hostname, _names_host(parts)
        sizes = [len(unquote(word or "").encode()) for word in (parts.username, parts.password)]
        is_url = "://" in url and "@" not in "".join(parts[2:]) and _is_printed(url)
    except ValueError:
        return f"is not a URL, {expected}; {PROXY_ESCAPES}"
    if not is_url:
        return f"is not a URL, {expected}; {PROXY_ESCAPES}"
    if parts.scheme not in PROXY_SCHEMES:
        return f"has the scheme {parts.scheme!r}, {expected}"
    if not host:
        return f"names no host, {expected}"
    if not is_place:
        return f"names a host or a port that there cannot be, {expected}"
    if parts.scheme.startswith("socks") and max(sizes) > MAX_SOCKS_WORD:
        limit = f"the limit is {MAX_SOCKS_WORD}"
        return f"has a user or password of {max(sizes)} bytes, {limit}"
    return None


def check_client(client: object) -> None:
    """Raise `OptionError` if *client* is not an open one of httpx or httpx2, for async use."""
    is_async = all(hasattr(client, name) for name in ("build_request", "send", "aclose"))
    if isinstance(client, type) or not is_async:
        expected = "expected an instance of httpx.AsyncClient or httpx2.AsyncClient"
        raise OptionError(f"http_client is {kind_of(client)}, {expected}")
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
