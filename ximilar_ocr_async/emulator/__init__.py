"""Ximilar's OCR service in miniature, with real OCR inside, for development and tests."""
