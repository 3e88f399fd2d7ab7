"""Who may ask the local service: the headers of a request in, the reason to refuse it out.

It listens on this machine only, but web pages are on this machine, too, and they are not to be
trusted. A page can ask under its own name, if its name server says that the name is this machine's
(DNS rebinding), or send a request of which it does not see the response.
"""

import re
from collections.abc import Callable, Sequence

from attrs import field, frozen

from ximilar_ocr_async.emulator.addresses import is_loopback
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.testing.service import Reply, refuse

_HOST = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
"""A Host header: a name or an address, and perhaps a port."""

_OTHER_HOST = "the Host header names another machine; if it is this one, serve with --allow-host"


def _lowered(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


@frozen
class Callers:
    """Decides who may ask.

    Attributes:
        names: The names of this machine that a request may use, besides localhost and its loopback
            addresses. They have no ports.
    """

    names: frozenset[str] = field(default=frozenset(), converter=_lowered)

    def __attrs_post_init__(self) -> None:
        for name in self.names:
            parts = _HOST.fullmatch(name)
            if parts is None or parts[2]:
                raise OptionError(
                    f"{name!r} is not the name of a host, expected one without a port"
                )

    def refusal(self, values: Callable[[str], Sequence[str]]) -> Reply | None:
        """Return the reply to a request that is refused; None if it is not.

        Args:
            values: Returns the values of a header.
        """
        hosts = values("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return refuse(421, _OTHER_HOST)
        # Programs send neither header. "none" means that the user typed the address.
        if values("origin") or {*values("sec-fetch-site")} - {"none"}:
            return refuse(403, "web pages may not use this service")
        return None

    def _is_ours(self, host: str) -> bool:
        parts = _HOST.fullmatch(host)
        if parts is None:
            return False
        name = parts[1].lower()
        return name == "localhost" or name in self.names or _is_loopback(name.strip("[]"))


LOCAL = Callers()
"""Lets in whoever asks for localhost or a loopback address."""


def _is_loopback(name: str) -> bool:
    try:
        return is_loopback(name)
    except ValueError:
        return False
