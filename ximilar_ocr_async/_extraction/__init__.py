"""Typed answers: a class of the user's in, a prompt out; the model's answer in, an instance out."""

from ximilar_ocr_async._extraction.extraction import Extraction
from ximilar_ocr_async._extraction.structuring import unstructure

__all__ = ["Extraction", "unstructure"]
