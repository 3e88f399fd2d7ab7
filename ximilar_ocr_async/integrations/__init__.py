"""What joins the session to programs of others, a module for each; and errors as HTTP answers.

Each imports the library that it is for, so import it by its own name, such as
``ximilar_ocr_async.integrations.starlette``. Nothing of the package imports them.
"""

from ximilar_ocr_async.integrations.http_errors import answer_to

__all__ = ["answer_to"]
