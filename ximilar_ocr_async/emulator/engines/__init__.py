"""Real OCR engines: an encoded image and a language in, a reading out."""
