"""Facts of the service, each with its source and date: change them here when the service changes.

Sources: *docs* is https://docs.ximilar.com/text/ocr, read in 2026-08; *quickstart* is
https://docs.ximilar.com/quickstart, read in 2026-08; *vendor's client* is ximilar-client 1.39.0.
"""

from enum import StrEnum
from math import inf, isfinite

from ximilar_ocr_async.errors import OptionError

BASE_URL = "https://api.ximilar.com"
"""Source: docs."""

MAX_RECORDS = 10
"""Records in one request, at most. Source: docs."""

CREDITS = {"read": 5, "read_gpt": 15}
"""What a record costs, by endpoint. Source: https://www.ximilar.com/pricing, read 2026-08-28."""

PLANS = {"read_gpt": "a Business or Professional"}
"""The plan that an endpoint needs, if not any will do. Source: docs."""


class Language(StrEnum):
    """Language of the text on an image, wherever ``lang`` is asked for. Source: docs."""

    ENGLISH = "en"
    CHINESE = "zh"
    KOREAN = "ko"
    JAPANESE = "ja"
    RUSSIAN = "ru"


LANGUAGES = {language.value: language.name.lower() for language in Language}
"""What ``lang`` may be, and the name that comes back as ``lang_name``. Source: docs."""

DEFAULT_LANGUAGE = Language.ENGLISH.value
"""Source: docs."""

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "HEIC", "BMP", "TIFF", "GIF")
"""Image formats that the service takes; of a GIF it reads the first frame. Source: quickstart."""

RECOMMENDED_CONCURRENCY = 3
"""Requests in flight that the vendor recommends. Source: vendor's client, ``max_workers=3``."""

MAX_IMAGE_BYTES = 256 * 1024 * 1024
"""[bytes] of one file. Source: judgement, against files that are no pictures at all."""

MAX_BATCH_BYTES = 32 * 1024 * 1024
"""[bytes] of encoded images in one request. Source: judgement; the service's limit is not known."""

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""[bytes] of an answer, decompressed. Source: judgement; 10 records of 100 texts take 0.25 MB."""

JOB_KEPT = 14 * 24 * 3600.0
"""[s] that an asynchronous request is kept. Source: docs.ximilar.com/platform/vlm, 2026-08."""

MAX_PROMPT_TOKENS = 1000
"""Tokens of a prompt. Source: docs, "1000 tokens per record (image)"."""

BYTES_PER_TOKEN = 4
"""[bytes of UTF-8] in a token of a prompt, about. Source: judgement; the service's tokenizer is not
known, and those of OpenAI's models take some 4 letters of English or 1.3 signs of Chinese."""

CONNECT_TIMEOUT = 10.0
"""[s] Source: judgement; the service is one TCP and one TLS handshake away."""

READ_TIMEOUT = 90.0
"""[s] without a byte of an answer. Source: vendor's client, ``timeout=90``."""

KEEPALIVE_EXPIRY = 2.0
"""[s] The service drops idle connections, so we drop them first. Source: cardstream 0.5.2."""


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


def check_patience(patience: float) -> None:
    """Raise `OptionError` when *patience* is no number of seconds; it may be infinite."""
    if patience != inf:
        check_at_least("patience", patience, 0.0)


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
