"""Typed extraction: a user's class in, a prompt out; a completion in, an instance out."""

from ximilar_ocr_async._extraction.extraction import Extraction

__all__ = ["Extraction"]
