"""Facts about the service, each with its source. Change them here when the service changes.

Sources: *docs* is https://docs.ximilar.com/text/ocr, read in 2026-08. *quickstart* is
https://docs.ximilar.com/quickstart, read in 2026-08. *vendor's client* is ximilar-client 1.39.0.
"""

from enum import StrEnum

BASE_URL = "https://api.ximilar.com"
"""Source: docs."""

MAX_RECORDS = 10
"""The most records in one request. Source: docs."""

CREDITS = {"read": 5, "read_gpt": 15}
"""Credits for one record, by endpoint. Source: https://www.ximilar.com/pricing, 2026-08-28."""

PLANS = {"read_gpt": "a Business or Professional"}
"""The plans that include an endpoint, for endpoints that not every plan has. Source: docs."""


class Language(StrEnum):
    """A language that the service reads, for every parameter called ``lang``. Source: docs."""

    ENGLISH = "en"
    CHINESE = "zh"
    KOREAN = "ko"
    JAPANESE = "ja"
    RUSSIAN = "ru"


LANGUAGES = {language.value: language.name.lower() for language in Language}
"""Each value of ``lang``, with the ``lang_name`` of the response. Source: docs."""

DEFAULT_LANGUAGE = Language.ENGLISH.value
"""The language that the service assumes. Source: docs."""

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "HEIC", "BMP", "TIFF", "GIF")
"""Formats that the service accepts. It reads the first frame of a GIF. Source: quickstart."""

RECOMMENDED_CONCURRENCY = 3
"""Requests in flight that the vendor recommends. Source: vendor's client, ``max_workers=3``."""

MAX_IMAGE_BYTES = 256 * 1024 * 1024
"""The largest file [bytes]. Source: judgement; larger files are hardly images."""

MAX_NAME = 4096
"""The longest id of an image [characters]. Source: judgement; a path on Linux is no longer."""

MAX_REQUEST_ID = 200
"""The longest id of an asynchronous request [characters]. Source: judgement; UUIDs have 36."""

MAX_BATCH_BYTES = 32 * 1024 * 1024
"""The most encoded images in one request [bytes]. Source: judgement; the real limit is unknown."""

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""The largest decompressed response [bytes]. Source: judgement; 1,000 texts take 0.25 MB."""

JOB_KEPT = 14 * 24 * 3600.0
"""How long results are kept [s]. Source: https://docs.ximilar.com/platform/vlm, read in 2026-08."""

MAX_PROMPT_TOKENS = 1000
"""The most tokens in a prompt. Source: docs, "1000 tokens per record (image)"."""

BYTES_PER_TOKEN = 4
"""The average size of a token [bytes of UTF-8]. Source: judgement; the tokenizer is not known. A
token of OpenAI's models is about 4 letters of English, or 1.3 characters of Chinese."""

CONNECT_TIMEOUT = 10.0
"""How long the TCP and the TLS handshake may take, each [s]. Source: judgement."""

READ_TIMEOUT = 90.0
"""How long the service may send nothing [s]. Source: vendor's client, ``timeout=90``."""

REQUEST_TIMEOUT = 180.0
"""How long one request may take in all [s]. Source: judgement."""

KEEPALIVE_EXPIRY = 2.0
"""How long idle connections are kept [s]. The service drops them, too. Source: cardstream 0.5.2."""
