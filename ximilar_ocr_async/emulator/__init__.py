"""Ximilar's OCR service in miniature, with real OCR inside, for development and tests."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    "Delivery",
    "Fetch",
    "LocalEngine",
    "OpenAIChat",
    "bind",
    "make_server",
    "serve_until_interrupted",
    "serving",
]

_HOMES = {
    "Delivery": "deliveries",
    "Fetch": "fetch",
    "LocalEngine": "engines.local",
    "OpenAIChat": "openai_chat",
    "bind": "server",
    "make_server": "server",
    "serve_until_interrupted": "server",
    "serving": "server",
}
"""Where each name lives: loaded when it is first used, for engines and servers are heavy."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
