"""Records of a reply as no honest service writes them, of any size: 60 kinds and more.

`benchmarks/bounds.py` measures what they cost, and the tests hold that they cost no neighbour.
"""

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

Value: TypeAlias = Callable[[int], bytes]
"""Makes JSON of about so many bytes."""

TEXT = {
    "polygon": [[285.0, 221.0], [384.0, 229.0], [382.0, 256.0], [283.0, 248.0]],
    "text": "BASIC",
    "prob": 0.9564334750175476,
}
OCR = {"texts": [TEXT] * 3, "full_text": "BASIC BASIC BASIC", "lang": "en", "lang_name": "english"}
STATUS = {"code": 200, "text": "OK", "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6"}
GPT = {"full_prompt": "Name?", "result": "{'name': 'Mew'}", "json_result": {"name": "Mew"}}


def _many(item: bytes) -> Value:
    """Repeat an item in an array."""
    return lambda size: b"[%b]" % b",".join([item] * max(1, size // (len(item) + 1)))


def _nested(opening: bytes, closing: bytes) -> Value:
    def make(size: int) -> bytes:
        levels = max(1, size // (len(opening) + len(closing)))
        return opening * levels + b"0" + closing * levels

    return make


def _filled(part: bytes) -> Value:
    """Repeat a part in a string."""
    return lambda size: b'"%b"' % (part * max(1, size // len(part)))


def _keys(size: int) -> bytes:
    return b"{%b}" % b",".join(b'"k%d":0' % number for number in range(max(1, size // 14)))


VALUES: Mapping[str, Value] = {
    "arrays, deep": _nested(b"[", b"]"),
    "objects, deep": _nested(b'{"a":', b"}"),
    "pairs, deep": _nested(b"[0,", b"]"),
    "objects in arrays, deep": _nested(b'[{"a":', b"}]"),
    "deeper than Python": _many(_nested(b"[", b"]")(1950)),
    "deep and wide": _many(_nested(b"[", b"]")(150)),
    "empty arrays": _many(b"[]"),
    "empty objects": _many(b"{}"),
    "pairs": _many(b"[1,2]"),
    "objects of one key": _many(b'{"a":{"b":0}}'),
    "short strings": _many(b'"ab"'),
    "empty strings": _many(b'""'),
    "digits": _many(b"0"),
    "short numbers": _many(b"300"),
    "floats": _many(b"0.5"),
    "constants": _many(b"true"),
    "nulls": _many(b"null"),
    "NaN": _many(b"NaN"),
    "numbers out of range": _many(b"1e400"),
    "numbers that are nearly": _many(b"1e300"),
    "numbers that are nearly 0": _many(b"5e-324"),
    "one long number": lambda size: b"9" * max(5000, size),
    "numbers of 4,301 digits": _many(b"1" * 4301),
    "a long fraction": lambda size: b"0." + b"1" * size,
    "a long string": _filled(b"a"),
    "emoji": _filled("a茶🍵".encode()),
    "escapes": _filled(rb"\n\"\\"),
    "escaped characters": _filled(rb"\u00e9"),
    "escaped emoji": _filled(rb"\ud83c\udf75"),
    "half of a pair": _filled(rb"a\ud800"),
    "damaged UTF-8": _filled(b"a\xff\xe8\x8c"),
    "a surrogate in UTF-8": _filled(b"a\xed\xa0\x80"),
    "code in a string": _filled(rb"[{(a, b), \"c\": [d, e]},],"),
    "many keys": _keys,
    "one key again and again": lambda size: b"{%b}" % (b'"a":[],' * (size // 7) + b'"a":0'),
    "white space": lambda size: b"[" + b" " * size + b"0]",
}
"""Values that may stand anywhere, by their kinds."""


def record(name: bytes, **parts: bytes) -> bytes:
    """Return a record with some parts of its own."""
    usual = {"_status": STATUS, "_ocr": OCR, "_width": 1140, "_height": 1520}
    known = {key: json.dumps(value).encode() for key, value in usual.items()}
    members = {"_id": b'"%b"' % name, **known, **parts}
    return b"{%b}" % b",".join(b'"%b":%b' % (k.encode(), v) for k, v in members.items())


Kind: TypeAlias = Callable[[bytes, int], bytes]
"""Makes a record with a name, and of about so many bytes."""


def _member(key: str, value: Value) -> Kind:
    return lambda name, size: record(name, **{key: value(size)})


def _ocr(key: str, value: Value) -> Kind:
    def make(name: bytes, size: int) -> bytes:
        usual = {k: json.dumps(v).encode() for k, v in OCR.items()} | {key: value(size)}
        members = b",".join(b'"%b":%b' % (k.encode(), v) for k, v in usual.items())
        return record(name, _ocr=b"{%b}" % members)

    return make


def _text(**parts: object) -> Kind:
    return _ocr("texts", _many(json.dumps({**TEXT, **parts}).encode()))


def _gpt(value: Value) -> Kind:
    return lambda name, size: record(
        name, _gpt=b'{"result":"x","json_result":%b}' % value(size), prompt=b'"Name?"'
    )


def _bare(value: Value) -> Kind:
    return lambda _, size: value(size)


KINDS: Mapping[str, Kind] = {
    **{f"unknown key: {name}": _member("odd", value) for name, value in VALUES.items()},
    **{f"json_result: {name}": _gpt(value) for name, value in VALUES.items()},
    "texts: usual": _text(),
    "texts: with an unknown key": _text(line=3),
    "texts: with unknown arrays": _text(chars=[[], [], [], [], [], [], [], []]),
    "texts: small": _ocr(
        "texts", _many(b'{"text":"","polygon":[[1,2],[1,2],[1,2],[1,2]],"prob":1}')
    ),
    "texts: empty": _ocr("texts", _many(b"{}")),
    "texts: no polygon": _ocr("texts", _many(b'{"text":"a"}')),
    "texts: bad polygons": _ocr("texts", _many(b'{"polygon":[["a"],["b"]]}')),
    "texts: polygons of text": _text(polygon="x"),
    "texts: bad numbers": _text(prob="x"),
    "texts: extreme numbers": _ocr(
        "texts", _many(b'{"text":"","polygon":[[1e300,5E-324],[1,2],[1,2],[1,2]],"prob":1}')
    ),
    "texts: long numbers": _ocr(
        "texts", _many(b'{"text":"","polygon":[[1,2],[1,2],[1,2],[1,2]],"prob":%b}' % (b"1" * 309))
    ),
    "texts: numbers": _ocr("texts", _many(b"0")),
    "texts: arrays": _ocr("texts", _many(b"[]")),
    "texts: an object": _ocr("texts", _keys),
    "texts: one polygon": _ocr("texts", lambda size: b'[{"polygon":%b}]' % _many(b"[1,2]")(size)),
    "texts: one text": _ocr("texts", lambda size: b'[{"text":"%b"}]' % (b"a" * size)),
    "texts: one deep text": _ocr("texts", lambda size: b"[%b]" % _nested(b"[", b"]")(size)),
    "full_text: long": _ocr("full_text", _filled(b"a b ")),
    "full_text: escapes": _ocr("full_text", _filled(rb"\n")),
    "full_text: an array": _ocr("full_text", _many(b"[]")),
    "full_text: a number": _ocr("full_text", lambda size: b"9" * size),
    "lang: an object": _ocr("lang", _keys),
    "ocr: unknown arrays": _ocr("odd", _many(b"[]")),
    "ocr: an array": _member("_ocr", _many(b"[]")),
    "ocr: a string": _member("_ocr", _filled(b"a")),
    "ocr: many keys": _member("_ocr", _keys),
    "gpt: a string": _member("_gpt", _filled(b"a")),
    "gpt: many keys": _member("_gpt", _keys),
    "id: a string": lambda _, size: record(b"a" * size),
    "id: damaged": lambda _, size: record(b"\xff" * size),
    "status: an array": _member("_status", _many(b"[]")),
    "status: a string": _member("_status", _filled(b"a")),
    "status: many keys": _member("_status", _keys),
    "status: a number": _member("_status", lambda size: b"2" * size),
    "status: failed at length": _member(
        "_status", lambda size: b'{"code":400,"text":"%b"}' % (b"a" * size)
    ),
    "width: a number": _member("_width", lambda size: b"9" * size),
    "width: an array": _member("_width", _many(b"[]")),
    "base64: sent back": _member("_base64", _filled(b"AAAA")),
    "record: null": _bare(lambda _: b"null"),
    "record: an array": _bare(_many(b"[]")),
    "record: a string": _bare(_filled(b"a")),
    "record: a number": _bare(lambda size: b"9" * size),
    "record: many keys": lambda name, size: record(name, odd=b"0")[:-1] + b"," + _keys(size)[1:],
    "record: no JSON": _member("odd", lambda size: b"what" * max(1, size // 4)),
    "record: no JSON in brackets": _member("odd", lambda size: b"[%b]" % (b"what," * (size // 5))),
    "record: deep and no JSON": _member("odd", _nested(b"[:", b"]")),
    "record: a bad escape": _member("_width", lambda size: b'"%b"' % (rb"\x" * size)),
    "record: a bad escape in its id": lambda _, size: record(rb"\x" * size),
    "record: a line break in a string": _member("odd", _filled(b"a\n")),
    "record: no colon": lambda name, size: b'{"_id":"%b","odd" [%b]}' % (name, b"0," * (size // 2)),
}
"""Records by their kinds."""
