"""Odd answers of HTTP servers, byte by byte, around the documented answer of the service."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping

from attrs import evolve, field, frozen

from tests.protocol.replies import READ_REPLY
from ximilar_ocr_async import (
    AddressError,
    AuthError,
    OCRError,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)

LIMIT = 1_000_000
"""``max_response_bytes`` of the session that these are for."""

BODY = re.sub(rb'\s*"_id": "[^"]*",', b"", READ_REPLY)
"""The documented answer, without the id of another request."""

HALVES = [BODY[: len(BODY) // 2], BODY[len(BODY) // 2 :]]
GZIP = gzip.compress(BODY)
MEMBERS = [gzip.compress(half) for half in HALVES]

OK = b"HTTP/1.1 200 OK"
CHUNKED = b"Transfer-Encoding: chunked"
CLOSE = b"Connection: close"
LAST = b"0\r\n\r\n"
KB = b"X-A: " + b"b" * 1017 + b"\r\n"
"""A header of 1 KiB."""


@frozen
class Answer:
    """One answer.

    Attributes:
        name: What is odd about it.
        raw: All of its bytes.
        error: Exact class of the error that it ends with. None if the image is read.
        kind: Of an answer that curl reads and we refuse: where the reason stands in
            docs/decisions.md.
        closes: Whether the server closes the connection behind it.
    """

    name: str
    raw: bytes = field(repr=False)
    error: type[OCRError] | None = None
    kind: str = field(default="", kw_only=True)
    closes: bool = field(default=False, kw_only=True)

    @property
    def is_billed(self) -> bool:
        """Whether the service read the image before it answered."""
        return re.match(rb"HTTP/1.1 [345]", self.raw) is None


def answers(
    about: str,
    raws: Mapping[str, bytes],
    error: type[OCRError] | None = None,
    *,
    kind: str = "",
    closes: bool = False,
) -> Iterator[Answer]:
    """Yield answers that end alike; those that say that they are closed are closed."""
    for name, raw in raws.items():
        is_closed = closes or CLOSE.lower() in raw.lower()
        yield Answer(f"{about}: {name}", raw, error, kind=kind, closes=is_closed)


def head(*lines: bytes, status: bytes = OK, end: bytes = b"\r\n") -> bytes:
    """Write a status line and headers."""
    return end.join([status, *lines, b"", b""])


def sized(*lines: bytes, status: bytes = OK, body: bytes = BODY, end: bytes = b"\r\n") -> bytes:
    """Write an answer with its length."""
    return head(b"Content-Length: %d" % len(body), *lines, status=status, end=end) + body


def encoded(body: bytes, *names: bytes) -> bytes:
    """Write an answer with a line for each content coding."""
    return sized(*(b"Content-Encoding: " + name for name in names), body=body)


def chunk(piece: bytes = BODY, size: bytes = b"%x", *, end: bytes = b"\r\n") -> bytes:
    """Write one chunk; *size* is its first line."""
    return (size % len(piece) if b"%" in size else size) + end + piece + end


def chunked(*chunks: bytes, last: bytes = LAST, lines: tuple[bytes, ...] = (CHUNKED,)) -> bytes:
    """Write an answer in chunks: the whole body in one, if there are no others."""
    return head(*lines) + b"".join(chunks or [chunk()]) + last


def other(old: bytes, new: bytes) -> bytes:
    """Write an answer whose JSON differs in one place."""
    assert old in BODY
    return sized(body=BODY.replace(old, new))


# ---- the first line


def first_lines() -> Iterator[Answer]:
    """Yield answers with an odd first line."""
    about = "first line"
    read = {
        "HTTP/1.0": b"HTTP/1.0 200 OK",
        "HTTP/1.2": b"HTTP/1.2 200 OK",
        "HTTP/2.0": b"HTTP/2.0 200 OK",
        "no reason": b"HTTP/1.1 200",
        "no reason, but the space before it": b"HTTP/1.1 200 ",
        "a long reason": b"HTTP/1.1 200 " + b"fine " * 1000,
        "a reason in UTF-8": "HTTP/1.1 200 très bien".encode(),
        "a reason in Latin-1": b"HTTP/1.1 200 tr\xe8s bien",
        "a reason with a tab": b"HTTP/1.1 200 \tOK",
        "a reason with a control character": b"HTTP/1.1 200 O\x01K",
        "201": b"HTTP/1.1 201 Created",
        "202": b"HTTP/1.1 202 Accepted",
        "203": b"HTTP/1.1 203 Non-Authoritative Information",
        "205": b"HTTP/1.1 205 Reset Content",
        "206": b"HTTP/1.1 206 Partial Content",
        "299": b"HTTP/1.1 299 Whatever",
    }
    curl_reads = {
        "HTTP/2": b"HTTP/2 200 OK",
        "HTTP in small letters": b"http/1.1 200 OK",
        "two spaces before the status": b"HTTP/1.1  200 OK",
        "no space behind the status": b"HTTP/1.1 200OK",
    }
    refused = {
        "HTTP/1.10": b"HTTP/1.10 200 OK",
        "HTTP/3": b"HTTP/3 200 OK",
        "ICY": b"ICY 200 OK",
        "RTSP": b"RTSP/1.0 200 OK",
        "a tab before the status": b"HTTP/1.1\t200 OK",
        "a space before all": b" HTTP/1.1 200 OK",
        "an empty line before it": b"\r\n" + OK,
        "a status of two digits": b"HTTP/1.1 20 OK",
        "a status of four digits": b"HTTP/1.1 2000 OK",
        "a status in words": b"HTTP/1.1 OK",
        "no status": b"HTTP/1.1",
        "a reason with NUL": b"HTTP/1.1 200 O\0K",
        "none": b"Server: nginx",
    }
    yield from answers(about, {name: sized(status=line) for name, line in read.items()})
    raws = {name: sized(status=line) for name, line in curl_reads.items()}
    yield from answers(about, raws, ReplyLost, kind="first lines of no HTTP/1")
    yield from answers(about, {k: sized(status=v) for k, v in refused.items()}, ReplyLost)
    cut = {
        "the body at once (HTTP/0.9)": BODY,
        "garbage": b"\x00\x01\x02 what is this\r\n\r\n",
        "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x46",
        "half": b"HTTP/1.1 2",
        "nothing at all": b"",
    }
    yield from answers(about, cut, ReplyLost, closes=True)


# ---- headers


def headers() -> Iterator[Answer]:
    """Yield answers with odd headers."""
    about = "header"
    read = {
        "small letters": b"x-a: b",
        "capitals": b"X-A: B",
        "no space behind the colon": b"X-A:b",
        "tabs and spaces around the value": b"X-A: \t b \t ",
        "an empty value": b"X-A:",
        "a value of two lines": b"X-A: b\r\n c",
        "a value of two lines, by a tab": b"X-A: b\r\n\tc",
        "a value of two lines, the first empty": b"X-A:\r\n b",
        "a value in UTF-8": "X-A: thé".encode(),
        "a value in Latin-1": b"X-A: th\xe9",
        "a control character in the value": b"X-A: b\x01c",
        "DEL in the value": b"X-A: b\x7fc",
        "a colon in the value": b"X-A: b: c",
        "every mark that a name may have": b"!#$%&'*+-.^_`|~0Az: b",
        "a thousand": b"\r\n".join(b"X-%d: b" % number for number in range(1000)),
        "the same a hundred times": b"\r\n".join([b"Set-Cookie: a=b"] * 100),
        "14 KiB in one": b"X-A: " + b"b" * 14 * 1024,
        "14 KiB in many": KB * 13 + KB[:-2],
        "a cookie that cannot be sent back": b"Set-Cookie: \xff=1",
        "Connection: keep-alive": b"Connection: keep-alive",
        "Connection: close": CLOSE,
        "Connection: Close, TE": b"Connection: Close, TE",
        "an offer of h2c": b"Connection: Upgrade\r\nUpgrade: h2c",
        "an offer of h3": b'Alt-Svc: h3=":443"; ma=86400',
        "a Retry-After that is no time": b"Retry-After: later",
        "a Date that is none": b"Date: yesterday",
        "a Location": b"Location: /elsewhere",
        "a Trailer that does not come": b"Trailer: X-A",
        "a Content-Range": b"Content-Range: bytes 0-5/1000",
        "a Content-Disposition": b"Content-Disposition: attachment; filename=a.json",
        "Content-Type: text/html": b"Content-Type: text/html",
        "an empty Content-Type": b"Content-Type:",
        "two Content-Types": b"Content-Type: text/plain\r\nContent-Type: text/html",
        "a charset that does not exist": b"Content-Type: application/json; charset=klingon",
        "a charset that is another": b"Content-Type: application/json; charset=utf-16",
        "a line that ends in LF alone": b"X-A: b\nX-B: c",
    }
    curl_reads = {
        "a space before the colon": b"X-A : b",
        "a tab before the colon": b"X-A\t: b",
        "no name": b": b",
        "a space in the name": b"X A: b",
        "a name in UTF-8": "X-thé: b".encode(),
        "brackets in the name": b"X(A): b",
        "CR in the value": b"X-A: b\rc",
    }
    refused = {
        "no colon": b"X-A",
        "NUL in the value": b"X-A: b\0c",
        "300 KiB in one": b"X-A: " + b"b" * 300 * 1024,
        "a hundred thousand": b"\r\n".join([b"X-A: b"] * 100_000),
    }
    yield from answers(about, {name: sized(line) for name, line in read.items()})
    raws = {name: sized(line) for name, line in curl_reads.items()}
    yield from answers(about, raws, ReplyLost, kind="names and values that are none")
    yield from answers(about, {name: sized(line) for name, line in refused.items()}, ReplyLost)
    raws = {"200 KiB in many": sized(KB * 199 + KB[:-2])}
    yield from answers(about, raws, ReplyLost, kind="too large")
    yield Answer("header: all lines end in LF alone", sized(b"X-A: b", end=b"\n"))
    raws = {"all lines end in CR CR LF": sized(end=b"\r\r\n")}
    yield from answers(about, raws, ReplyLost, kind="names and values that are none", closes=True)
    cut = {
        "all lines end in CR alone": sized(end=b"\r"),
        "the first begins with a space": sized(status=OK + b"\r\n X-A: b"),
        "cut in a line": sized()[:30],
        "cut in the end of a line": sized()[: len(OK) + 1],
        "cut before the empty line": head(b"X-A: b")[:-2],
    }
    yield from answers(about, cut, ReplyLost, closes=True)


# ---- lengths


def lengths() -> Iterator[Answer]:
    """Yield answers with odd lengths."""
    about, size = "length", b"%d" % len(BODY)
    read = {
        "twice": b"Content-Length: %b\r\nContent-Length: %b" % (size, size),
        "twice in one": b"Content-Length: %b, %b" % (size, size),
        "a zero before it": b"Content-Length: 0" + size,
        "spaces around it": b"Content-Length:   %b  " % size,
        "no space before it": b"Content-Length:" + size,
        "small letters": b"content-length: " + size,
        "two lines": b"Content-Length:\r\n " + size,
        "none": b"X-A: b\r\nConnection: close",
        "HTTP/1.1 without a word": b"X-A: b",
    }
    curl_reads = {
        "two, the right one last": b"Content-Length: 5\r\nContent-Length: " + size,
        "two in one": b"Content-Length: %b, 5" % size,
        "a plus": b"Content-Length: +" + size,
        "a unit": b"Content-Length: %b bytes" % size,
        "a comma behind it": b"Content-Length: %b," % size,
        "a fraction": b"Content-Length: %b.0" % size,
        "30 digits": b"Content-Length: " + b"9" * 30,
    }
    refused = {
        "two, the right one first": b"Content-Length: %b\r\nContent-Length: 5" % size,
        "a minus": b"Content-Length: -1",
        "an empty value": b"Content-Length:",
        "a word": b"Content-Length: many",
        "hexadecimal": b"Content-Length: 0x%x" % len(BODY),
        "one too many": b"Content-Length: %d" % (len(BODY) + 1),
    }
    raws = {name: head(line) + BODY for name, line in read.items()}
    yield from answers(about, raws, closes=True)
    raws = {name: head(line) + BODY for name, line in curl_reads.items()}
    yield from answers(about, raws, ReplyLost, kind="lengths that are none", closes=True)
    raws = {name: head(line) + BODY for name, line in refused.items()}
    yield from answers(about, raws, ReplyLost, closes=True)
    old = b"HTTP/1.0 200 OK"
    more = {
        "HTTP/1.0 that is kept alive": sized(b"Connection: keep-alive", status=old),
        "an end of line behind it": sized() + b"\r\n",
        "garbage behind it": sized() + b"garbage",
        "another answer behind it": sized() + sized(body=b"{}"),
    }
    yield from answers(about, more)
    yield Answer("length: HTTP/1.0 without one", head(status=old) + BODY, closes=True)
    yield Answer("length: cut in the body", sized()[:-100], ReplyLost, closes=True)
    no_json = {
        "0": head(b"Content-Length: 0") + BODY,
        "0, and nothing": head(b"Content-Length: 0"),
        "204, which has no body": sized(status=b"HTTP/1.1 204 No Content"),
    }
    yield from answers(about, no_json, ReplyError)
    yield Answer("length: none, and nothing", head(), ReplyError, closes=True)
    # The record came whole, and was paid for.
    yield Answer("length: none, cut behind the record", head() + BODY[:-100], closes=True)
    short = head(b"Content-Length: %d" % (len(BODY) - 1)) + BODY
    yield Answer("length: one too few", short)


# ---- chunks


def chunks() -> Iterator[Answer]:
    """Yield answers in odd chunks."""
    about = "chunks"
    read = {
        "one": chunked(),
        "two": chunked(*map(chunk, HALVES)),
        "a byte in each": chunked(*(chunk(bytes([byte])) for byte in BODY)),
        "a size in capitals": chunked(chunk(size=b"%X")),
        "a size with zeros before it": chunked(chunk(size=b"0000%x")),
        "a size of 17 digits": chunked(chunk(size=b"%017x")),
        "a size with spaces behind it": chunked(chunk(size=b"%x  ")),
        "an extension": chunked(chunk(size=b"%x;a=b")),
        "an extension without a value": chunked(chunk(size=b"%x;a")),
        "an extension in quotes": chunked(chunk(size=b'%x;a="b; c"')),
        "an extension of 10 KiB": chunked(chunk(size=b"%x;a=" + b"b" * 10_240)),
        "an extension of the last": chunked(last=b"0;a=b\r\n\r\n"),
        "a last of many zeros": chunked(last=b"0000\r\n\r\n"),
        "a trailer": chunked(last=b"0\r\nX-A: b\r\n\r\n"),
        "a hundred trailers": chunked(last=b"0\r\n" + b"X-A: b\r\n" * 100 + b"\r\n"),
        "a trailer that is a length": chunked(last=b"0\r\nContent-Length: 5\r\n\r\n"),
        "a length that is less": chunked(lines=(CHUNKED, b"Content-Length: 5")),
        "a length that is more": chunked(lines=(b"Content-Length: 999999", CHUNKED)),
        "Chunked": chunked(lines=(b"Transfer-Encoding: Chunked",)),
        "spaces around the name": chunked(lines=(b"Transfer-Encoding:  chunked ",)),
        "gzip in them": chunked(*map(chunk, MEMBERS), lines=(CHUNKED, b"Content-Encoding: gzip")),
        "another answer behind them": chunked() + sized(body=b"{}"),
        "the connection is closed": chunked(lines=(CHUNKED, CLOSE)),
    }
    yield from answers(about, read)
    raw = chunked().replace(b"HTTP/1.1", b"HTTP/1.0")
    yield Answer("chunks: HTTP/1.0", raw, closes=True)
    curl_reads = {
        "an extension with spaces": chunked(chunk(size=b"%x ; a = b")),
        "a size with an underscore": chunked(chunk(size=b"%x_")),
        "a size that is one too large": chunked(chunk(size=b"%x" % (len(BODY) + 1))),
        "lines end in LF alone": chunked(chunk(end=b"\n"), last=b"0\n\n"),
    }
    yield from answers(about, curl_reads, ReplyLost, kind="chunks that are none", closes=True)
    raws = {"trailers of 300 KiB": chunked(last=b"0\r\n" + KB * 300 + b"\r\n")}
    yield from answers(about, raws, ReplyLost, kind="too large")
    refused = {
        "a size that is none": chunked(chunk(size=b"xyz")),
        "no size": chunked(chunk(size=b"")),
        "a size with a minus": chunked(chunk(size=b"-%x")),
        "a size with a plus": chunked(chunk(size=b"+%x")),
        "a size with 0x": chunked(chunk(size=b"0x%x")),
        "a size with a space before it": chunked(chunk(size=b" %x")),
        "a size of 21 digits": chunked(chunk(size=b"%021x")),
        "a size that is huge": chunked(chunk(size=b"f" * 16)),
        "a size that is one too small": chunked(chunk(size=b"%x" % (len(BODY) - 1))),
        "no end of line behind them": chunked(*(chunk(half)[:-2] for half in HALVES)),
        "no last": chunked(last=b""),
        "half of the last": chunked(last=b"0\r\n"),
        "a trailer that is none": chunked(last=b"0\r\nX-A\r\n\r\n"),
        "a trailer that is cut": chunked(last=b"0\r\nX-A: b\r\n"),
        "none, but the body": head(CHUNKED) + BODY,
        "cut in one": chunked(last=b"")[:-100],
    }
    yield from answers(about, refused, ReplyLost, closes=True)
    first = {"the last comes first": LAST + chunk() + LAST, "none but the last": LAST}
    raws = {name: head(CHUNKED) + body for name, body in first.items()}
    yield from answers(about, raws, ReplyError)


def transfer_codings() -> Iterator[Answer]:
    """Yield answers with odd transfer codings."""
    about = "transfer coding"
    curl_reads = {
        "chunked in two lines": chunked(lines=(CHUNKED, CHUNKED)),
        "chunked, chunked": chunked(lines=(CHUNKED + b", chunked",)),
        "identity": sized(b"Transfer-Encoding: identity"),
        "identity, chunked": chunked(lines=(b"Transfer-Encoding: identity, chunked",)),
        "gzip": sized(b"Transfer-Encoding: gzip", body=GZIP),
        "gzip, chunked": chunked(chunk(GZIP), lines=(b"Transfer-Encoding: gzip, chunked",)),
        "an empty one": sized(b"Transfer-Encoding:"),
    }
    refused = {
        "one that does not exist": sized(b"Transfer-Encoding: cow"),
        "xchunked": chunked(lines=(b"Transfer-Encoding: xchunked",)),
    }
    kind = "transfer codings other than chunked"
    yield from answers(about, curl_reads, ReplyLost, kind=kind, closes=True)
    yield from answers(about, refused, ReplyLost, closes=True)


# ---- what comes before


def interim() -> Iterator[Answer]:
    """Yield answers after others."""
    about = "interim"
    read = {
        "100": b"HTTP/1.1 100 Continue\r\n\r\n",
        "100 with a header": b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n",
        "100 with a length": b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
        "100 without a reason": b"HTTP/1.1 100\r\n\r\n",
        "100 of HTTP/1.0": b"HTTP/1.0 100 Continue\r\n\r\n",
        "100 with LF alone": b"HTTP/1.1 100 Continue\n\n",
        "102": b"HTTP/1.1 102 Processing\r\n\r\n",
        "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        "199": b"HTTP/1.1 199 Whatever\r\n\r\n",
        "two kinds": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
        "twenty": b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
    }
    yield from answers(about, {name: before + sized() for name, before in read.items()})
    refused = {
        "100 with a body": read["100 with a length"] + b"hello" + sized(),
        "100 and the end": read["100"],
        "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + sized(),
    }
    yield from answers(about, refused, ReplyLost, closes=True)


# ---- content codings


def content_codings() -> Iterator[Answer]:
    """Yield answers with odd content codings."""
    about = "content coding"
    plain = [b"", b"identity", b"none", b"utf-8", b"UTF-8", b"identity, none", b" , "]
    packed = [b"gzip", b"x-gzip", b"GZip", b"\tgzip ", b"identity, gzip", b"gzip,none", b",gzip,"]
    read = {repr(name.decode()): encoded(BODY, name) for name in plain}
    read |= {repr(name.decode()): encoded(GZIP, name) for name in packed}
    read["two lines"] = encoded(GZIP, b"gzip", b"identity")
    # Gateways say so of what is plain.
    wrong = [b"br", b"UTF8", b"binary", b"gzip, gzip", b"deflate"]
    read |= {f"{name.decode()!r}, and plain": encoded(BODY, name) for name in wrong}
    yield from answers(about, read)
    curl_reads = {
        "deflate": encoded(zlib.compress(BODY), b"deflate"),
        "gzip, gzip": encoded(gzip.compress(GZIP), b"gzip, gzip"),
        "gzip in two lines": encoded(gzip.compress(GZIP), b"gzip", b"gzip"),
        "gzip that is zlib": encoded(zlib.compress(BODY), b"gzip"),
    }
    kind = "content codings other than gzip"
    yield from answers(about, curl_reads, ReplyError, kind=kind)
    names = [b"br", b"zstd", b"compress", b"gzip, br", b"binary", b'"gzip"', b"gzip;q=1"]
    refused = {repr(name.decode()): encoded(GZIP, name) for name in names}
    refused["gzip that is not named"] = sized(body=GZIP)
    yield from answers(about, refused, ReplyError)


def gzips() -> Iterator[Answer]:
    """Yield answers with odd gzip."""
    about = "gzip"
    read = {
        "two members": b"".join(MEMBERS),
        "zeros between and behind its members": bytes(5).join([*MEMBERS, b""]),
        "an end of line behind it": GZIP + b"\r\n",
        "an empty member behind it": GZIP + gzip.compress(b""),
        "a member for each byte": b"".join(gzip.compress(bytes([byte])) for byte in BODY),
        "stored": gzip.compress(BODY, 0),
        "a name and a comment": GZIP[:3] + b"\x18" + GZIP[4:10] + b"a.json\0hello\0" + GZIP[10:],
    }
    yield from answers(about, {name: encoded(body, b"gzip") for name, body in read.items()})
    raw = head(b"Content-Encoding: gzip", CLOSE) + GZIP
    yield Answer("gzip: no length", raw, closes=True)
    curl_reads = {"no checksum": GZIP[:-8], "half of its checksum": GZIP[:-6]}
    raws = {name: encoded(body, b"gzip") for name, body in curl_reads.items()}
    yield from answers(about, raws, ReplyLost, kind="gzip without its end")
    cut = {"cut": GZIP[:-100], "half of its second member": b"".join(MEMBERS)[:-50]}
    raws = {name: encoded(body, b"gzip") for name, body in cut.items()}
    yield from answers(about, raws, ReplyLost)
    refused = {
        "garbage behind it": GZIP + b"garbage",
        "HTML behind it": GZIP + b"<!-- cached -->",
        "plain bytes": BODY,
        "deflate": zlib.compress(BODY)[2:-4],
        "an end of line before it": b"\r\n" + GZIP,
        "a wrong checksum": GZIP[:-8] + b"abcd" + GZIP[-4:],
        "a wrong size": GZIP[:-4] + b"abcd",
        "nothing": b"",
    }
    raws = {name: encoded(body, b"gzip") for name, body in refused.items()}
    yield from answers(about, raws, ReplyError)


# ---- JSON


def documents() -> Iterator[Answer]:
    """Yield answers with odd JSON."""
    about, text, parsed = "JSON", BODY.decode().replace("ASTRIKE", "thé 茶"), json.loads(BODY)
    time = b"5.054640769958496"
    read = {
        "a byte order mark": text.encode("utf-8-sig"),
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32"),
        "Latin-1": text.encode("latin-1", "ignore"),
        "spaces and lines around it": b" \r\n\t" + BODY + b"\n\n",
        "no space in it": json.dumps(parsed, separators=(",", ":")).encode(),
        "much space in it": b"{" + b" " * (LIMIT - 2 * len(BODY)) + BODY[1:],
        "the records last": json.dumps(dict(reversed(parsed.items()))).encode(),
        "no status": json.dumps({"records": parsed["records"]}).encode(),
        "a status that is a number": json.dumps({**parsed, "status": 200}).encode(),
        "unknown keys": b'{"a": [{"b": null}],' + BODY[1:],
    }
    yield from answers(about, {name: sized(body=body) for name, body in read.items()})
    read = {
        "a byte that is no UTF-8": other(b"ASTRIKE", b"th\xff"),
        "half a character": other(b"ASTRIKE", b"th\xe8\x8c"),
        "half of a pair in UTF-8": other(b"ASTRIKE", b"th\xed\xa0\x80"),
        "half of a pair as an escape": other(b"ASTRIKE", rb"th\ud83c"),
        "NUL as an escape": other(b"ASTRIKE", rb"th\u0000"),
        "letters as escapes": other(b"BASIC MewV", rb"\u0042ASIC \u004dewV"),
        "NaN": other(time, b"NaN"),
        "a number of 4,000 digits": other(time, b"9" * 4000),
        "an exponent": other(b"285.0", b"2.85E+2"),
        "whole numbers": other(b".0", b""),
        "nulls": other(b"1140", b"null"),
        "no texts": other(b'"texts"', b'"other"'),
        "a key twice": other(b'"lang":', b'"lang": "xx", "lang":'),
        "a tab in a text": other(b"ASTRIKE", b"A\tSTRIKE"),
        "a number of 5,000 digits": other(time, b"9" * 5000),
        # Its record came whole, and was paid for.
        "cut behind its record": sized(body=BODY[:-30]),
        "twice": sized(body=BODY + BODY),
        "zeros behind it": sized(body=BODY + bytes(10)),
        "a comma too many": sized(body=BODY[:-1] + b",}"),
    }
    yield from answers(about, read)
    refused = {
        "spaces": b" \r\n ",
        "null": b"null",
        "an empty object": b"{}",
        "a list": b"[" + BODY + b"]",
        "a text": json.dumps(text).encode(),
        "HTML": b"<html><h1>It works!</h1></html>",
        "a comment": b"/* */" + BODY,
        "a guard before it": b")]}',\n" + BODY,
        "a call around it": b"callback(" + BODY + b");",
        "single quotes": BODY.replace(b'"', b"'"),
        "a byte that is no UTF-8 between texts": b"\xff" + BODY,
        "nested deeply": b"[" * 100_000,
        "no records": b'{"status": {"code": 200, "text": "OK"}}',
        "records that are null": b'{"records": null, "status": {"code": 200}}',
        "records that are an object": b'{"records": {"0": {}}, "status": {"code": 200}}',
        "no record": b'{"records": [], "status": {"code": 200}}',
        "a record that is null": b'{"records": [null], "status": {"code": 200}}',
    }
    raws = {name: sized(body=body) for name, body in refused.items()}
    yield from answers(about, raws, ReplyError)
    large = {"over max_response_bytes": sized(body=b" " * LIMIT + BODY)}
    yield from answers(about, large, ReplyError, kind="too large")
    refused = {
        "a record too many": other(b'"records": [', b'"records": [{},'),
        "a text that is a number": other(b'"texts": [', b'"texts": [7,'),
        "a point that is a word": other(b"285.0", b'"x"'),
    }
    yield from answers(about, refused, ReplyError)


# ---- statuses that decide


def refusals() -> Iterator[Answer]:
    """Yield odd answers with failing statuses, which decide whatever else is odd."""
    statuses: dict[bytes, type[OCRError]] = {
        b"400 Bad Request": RequestRejected,
        b"401 Unauthorized": AuthError,
        b"403 Forbidden": AuthError,
        b"413 Content Too Large": RequestRejected,
        b"422 Unprocessable Content": RequestRejected,
        b"500 Internal Server Error": ServiceUnavailable,
    }
    for status, error in statuses.items():
        line, about = b"HTTP/1.1 " + status, status[:3].decode()
        body = b'{"status": {"code": %b, "text": "no"}}' % status[:3]
        brotli = sized(b"Content-Encoding: br", status=line, body=body)
        yield Answer(f"{about}: no body", sized(status=line, body=b""), error)
        yield Answer(f"{about}: cut", sized(status=line, body=body)[:-9], error, closes=True)
        yield Answer(f"{about}: in an encoding that was not asked for", brotli, error)
    moved = {
        "301": b"HTTP/1.1 301 Moved Permanently",
        "302": b"HTTP/1.1 302 Found",
        "307": b"HTTP/1.1 307 Temporary Redirect",
    }
    where = b"Location: https://elsewhere.example/"
    raws = {name: sized(where, status=line) for name, line in moved.items()}
    yield from answers("moved", raws, AddressError)
    raw = head(status=b"HTTP/1.1 304 Not Modified")
    yield Answer("moved: 304", raw, AddressError)


CAME_WHOLE = frozenset(
    {
        "length: one too many",
        "length: cut in the body",
        "chunks: a size that is one too large",
        "chunks: trailers of 300 KiB",
        "chunks: a size that is huge",
        "chunks: a size that is one too small",
        "chunks: no last",
        "chunks: half of the last",
        "chunks: a trailer that is none",
        "chunks: a trailer that is cut",
        "chunks: cut in one",
        "gzip: no checksum",
        "gzip: half of its checksum",
        "gzip: half of its second member",
        "gzip: garbage behind it",
        "gzip: HTML behind it",
        "gzip: plain bytes",
        "gzip: a wrong checksum",
        "gzip: a wrong size",
        "content coding: gzip that is not named",
        "JSON: over max_response_bytes",
    }
)
"""What breaks off, or is garbled, behind the whole record: that was paid for, so it is kept."""

_ALL = [
    *first_lines(),
    *headers(),
    *lengths(),
    *chunks(),
    *transfer_codings(),
    *interim(),
    *content_codings(),
    *gzips(),
    *documents(),
    *refusals(),
]
ANSWERS = [evolve(one, error=None, kind="") if one.name in CAME_WHOLE else one for one in _ALL]
