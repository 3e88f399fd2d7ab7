"""The options of a session, checked once."""

import ssl

from attrs import field, frozen

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._http import HTTPClient
from ximilar_ocr_async._validation import (
    check_at_least,
    check_base_url,
    check_client,
    check_flag,
    check_kind,
    check_listener,
    check_optional,
    check_outage_timeout,
    check_proxy,
)
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.events import Listener
from ximilar_ocr_async.retry import RetryPolicy


@frozen(kw_only=True)
class SessionOptions:
    """What `OCRSession` was made with; its docstring says what each means."""

    base_url: str
    max_concurrency: int
    adaptive: bool
    max_requests_per_second: float | None
    linger: float
    max_batch_records: int
    max_batch_bytes: int
    max_response_bytes: int
    max_records: int | None
    max_queue: int | None
    retry: RetryPolicy
    timeout: float
    deadline: float | None
    outage_timeout: float
    drain: float
    http_client: HTTPClient | None = field(repr=False)
    ssl_context: ssl.SSLContext | None = field(repr=False)
    # It may hold a password.
    proxy: str | None = field(repr=False)
    on_event: Listener | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        check_base_url(self.base_url)
        self._check_client()
        check_flag("adaptive", self.adaptive)
        # A number alone would say how often, and not how soon.
        check_kind(
            "retry", self.retry, RetryPolicy, "a RetryPolicy, such as RetryPolicy(attempts=3)"
        )
        if self.on_event is not None:
            check_listener(self.on_event)
        check_at_least("max_concurrency", self.max_concurrency, 1)
        check_at_least("max_batch_records", self.max_batch_records, 1, MAX_RECORDS)
        check_at_least("max_batch_bytes", self.max_batch_bytes, 1)
        check_at_least("max_response_bytes", self.max_response_bytes, 1)
        check_outage_timeout(self.outage_timeout)
        check_at_least("timeout", self.timeout, 0.001)
        check_at_least("drain", self.drain, 0.0)
        check_at_least("linger", self.linger, 0.0)
        check_optional("max_requests_per_second", self.max_requests_per_second, 0.001)
        check_optional("max_records", self.max_records, 0)
        check_optional("max_queue", self.max_queue, 0)
        check_optional("deadline", self.deadline, 0.0)

    def _check_client(self) -> None:
        """Raise `OptionError` if nothing can be sent with what is given."""
        if self.ssl_context is not None:
            check_kind("ssl_context", self.ssl_context, ssl.SSLContext, "an ssl.SSLContext")
            if self.ssl_context.protocol == ssl.PROTOCOL_TLS_SERVER:
                raise OptionError("ssl_context is that of a server, expected one of a client")
        if self.proxy is not None:
            check_proxy(self.proxy)
        if self.http_client is None:
            return
        given = [name for name in ("ssl_context", "proxy") if getattr(self, name) is not None]
        if given:
            raise OptionError(f"{given[0]} and http_client are both given; a client has its own")
        check_client(self.http_client)
