"""OCR engines that look at pictures: an encoded image and a language in, a reading out."""
