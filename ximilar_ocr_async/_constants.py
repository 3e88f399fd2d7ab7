"""Facts of the service, each with its source and date: change them here when the service changes.

Sources: *docs* is https://docs.ximilar.com/text/ocr, read in 2026-08; *quickstart* is
https://docs.ximilar.com/quickstart, read in 2026-08; *vendor's client* is ximilar-client 1.39.0.
"""

from enum import StrEnum

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
