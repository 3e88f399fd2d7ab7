"""The session: images in, outcomes out. It wires the other rooms and has no algorithm."""

from ximilar_ocr_async._session.account import estimate
from ximilar_ocr_async._session.session import CHECK_DEADLINE, OCRSession
from ximilar_ocr_async._session.source import Images
from ximilar_ocr_async._session.stream import Stream

__all__ = ["CHECK_DEADLINE", "Images", "OCRSession", "Stream", "estimate"]
