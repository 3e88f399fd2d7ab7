"""Plain data of outcomes and records: an object in; a dict of JSON types, JSON or a row out.

    from ximilar_ocr_async.export import to_dict, to_json, to_row

What comes out can be written as JSON and as UTF-8, whatever is in the object. None of it sends,
waits or opens files.
"""

from ximilar_ocr_async.export.documents import to_dict, to_json
from ximilar_ocr_async.export.rows import to_row

__all__ = ["to_dict", "to_json", "to_row"]
