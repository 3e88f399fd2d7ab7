"""A local imitation of Ximilar's OCR service that reads images with real OCR engines.

HTTP requests go in, replies in the service's format come out. It serves development and tests.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ximilar_ocr_async.emulator.callers import Callers
    from ximilar_ocr_async.emulator.deliveries import Delivery
    from ximilar_ocr_async.emulator.engines.local import LocalEngine
    from ximilar_ocr_async.emulator.fetch import Fetch
    from ximilar_ocr_async.emulator.openai_chat import OpenAIChat
    from ximilar_ocr_async.emulator.server import (
        bind,
        make_server,
        serve_until_interrupted,
        serving,
    )

__all__ = [
    "Callers",
    "Delivery",
    "Fetch",
    "LocalEngine",
    "OpenAIChat",
    "bind",
    "make_server",
    "serve_until_interrupted",
    "serving",
]

_MODULES = {
    "Callers": "callers",
    "Delivery": "deliveries",
    "Fetch": "fetch",
    "LocalEngine": "engines.local",
    "OpenAIChat": "openai_chat",
    "bind": "server",
    "make_server": "server",
    "serve_until_interrupted": "server",
    "serving": "server",
}
"""The module of each name, loaded on first use because engines and servers are heavy."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
