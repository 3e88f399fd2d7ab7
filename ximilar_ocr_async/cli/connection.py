"""How the commands reach the service: their shared options in, a session out."""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from attrs import asdict, field, frozen
from cyclopts import Parameter

from ximilar_ocr_async._constants import REQUEST_TIMEOUT
from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async._validation import check_at_least, check_base_url, check_proxy
from ximilar_ocr_async.cli.console import warn_of_secret
from ximilar_ocr_async.errors import OptionError


@frozen(kw_only=True)
class Connection:
    """Options of all commands that ask the service. Their help shows these descriptions.

    Attributes:
        base_url: Address of the service. The default is XIMILAR_BASE_URL, or else
            https://api.ximilar.com.
        ca_file: PEM file of certificates to trust, in place of the default ones, which are those
            of SSL_CERT_FILE or SSL_CERT_DIR, or else the usual authorities.
        proxy: URL of a proxy: http, https, socks5 or socks5h. The default is HTTPS_PROXY or
            ALL_PROXY, unless NO_PROXY excepts the service. A password belongs into HTTPS_PROXY,
            because others can see the words of a command.
        timeout: Longest time in seconds for one request.
        deadline: Longest time in seconds for the whole call. Images without a result by then fail.
    """

    base_url: str | None = None
    ca_file: Path | None = None
    # It may hold a password.
    proxy: str | None = field(default=None, repr=False)
    timeout: float = REQUEST_TIMEOUT
    deadline: float | None = None

    @property
    def given(self) -> list[str]:
        """The options that do not have their defaults, as they are written."""
        values, defaults = asdict(self), asdict(DEFAULT_CONNECTION)
        changed = [name for name, value in values.items() if value != defaults[name]]
        return [f"--{name.replace('_', '-')}" for name in changed]

    def make_session(self, token: str | None = None, **options: Any) -> OCRSession:
        """Return a session with these options.

        Args:
            token: The account's token. The default is that of the environment.
            options: Further options of the session.

        Raises:
            OptionError: There is no token, or an option is outside its allowed values.
        """
        if self.base_url is not None:
            check_base_url(self.base_url, "--base-url")
        if self.proxy is not None:
            check_proxy(self.proxy, "--proxy")
        check_at_least("--timeout", self.timeout, 0.001)
        if self.deadline is not None:
            check_at_least("--deadline", self.deadline, 0.0)
        session = OCRSession(
            token,
            base_url=self.base_url,
            ssl_context=None if self.ca_file is None else _trust(self.ca_file),
            proxy=self.proxy,
            timeout=self.timeout,
            deadline=self.deadline,
            **options,
        )
        if self.proxy is not None and urlsplit(self.proxy).password:
            warn_of_secret("--proxy", "set HTTPS_PROXY in its place")
        return session


DEFAULT_CONNECTION = Connection()

ConnectionOptions: TypeAlias = Annotated[Connection, Parameter(name="*", group="Connection")]
"""The options of the connection, in a group of their own, without a prefix to their names."""


def _trust(path: Path) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file, and no others."""
    option = f"--ca-file is {str(path)!r}"
    try:
        with suppress(ssl.SSLError):
            context = ssl.create_default_context(cafile=path)
            # A file of revocations alone is loaded without an error.
            if context.cert_store_stats()["x509"]:
                return context
    except OSError as error:
        raise OptionError(f"{option}, which cannot be read: {error.strerror}") from None
    raise OptionError(f"{option}, expected a PEM file with certificates")
