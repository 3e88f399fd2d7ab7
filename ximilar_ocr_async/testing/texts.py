"""What images say in tests, by URL or by bytes, where nothing is fetched and nothing looked at."""

from collections.abc import Mapping
from hashlib import sha256
from typing import TypeAlias

Texts: TypeAlias = Mapping[str, str] | Mapping[bytes, str] | str
"""What images say: by URL, by bytes, or the same for all."""


class _Address(bytes):
    """A URL in place of the image behind it."""

    __slots__ = ()


class _Script(dict[bytes, str]):
    """What each image says, by its bytes or by its address."""

    def __init__(self, texts: Mapping[str, str] | Mapping[bytes, str]) -> None:
        super().__init__(
            (key.encode() if isinstance(key, str) else key, text) for key, text in texts.items()
        )

    def __missing__(self, image: bytes) -> str:
        if isinstance(image, _Address):
            return image.decode(errors="surrogatepass")
        return sha256(image).hexdigest()


def script_of(texts: Texts) -> Mapping[bytes, str] | str:
    """Return *texts* for an engine; an image that is not in them says its URL or its SHA-256."""
    return texts if isinstance(texts, str) else _Script(texts)


async def fetch(url: str) -> bytes:
    """Return *url* in place of the image behind it."""
    return _Address(url.encode(errors="surrogatepass"))
