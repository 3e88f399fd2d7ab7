"""Questions about requests that are wrong in one way."""

import json
from functools import partial
from typing import Any

from _lib.live.books import DETAILS
from _lib.live.lab import Lab, Refused, Seen, Step
from _lib.live.pictures import NO_IMAGE
from _lib.live.readings import LANGUAGE, PATH, PRICE, billed, picture, price, reading
from _lib.live.wire import Answer
from _lib.live.words import message, rows, status_of, summary
from ximilar_ocr_async._constants import MAX_RECORDS

NOTHING = json.dumps({"records": []}).encode()
"""A body that asks for nothing to be read."""

WRONG_TOKEN = "0" * 40

FREE = {
    "a wrong token": ("POST", PATH, NOTHING, {"Authorization": f"Token {WRONG_TOKEN}"}),
    "no token": ("POST", PATH, NOTHING, {}),
    "a wrong path": ("POST", "/ocr/v2/no-such-endpoint", NOTHING, None),
    "a wrong method": ("GET", PATH, b"", None),
    "broken JSON": ("POST", PATH, b'{"records": [', None),
    "no records": ("POST", PATH, NOTHING, None),
    "no key records": ("POST", PATH, b"{}", None),
    "no records for the language model": ("POST", "/ocr/v2/read_gpt", NOTHING, None),
    "the account without its last slash": ("GET", DETAILS.rstrip("/"), b"", None),
}
"""Requests that ask for nothing to be read: method, path, body, and a signature other than ours."""


async def send_wrong(lab: Lab, name: str) -> Seen:
    """Send one of the wrong requests that cost nothing."""
    method, path, body, signature = FREE[name]
    request = lab.place.get(path)
    if method == "POST":
        request = lab.place.post(path, body, signature=signature)
    answer = await lab.ask(request, keep=name)
    return Seen(summary(answer))


async def read_oddly(lab: Lab, keep: str, *records: dict[str, Any], **more: Any) -> Seen:
    """Have *records* read that are odd, or with *more* in the request than is known."""
    answer = await lab.ask(reading(lab, *records, **more), keep=keep)
    return Seen(told(answer), partial(billed, len(records)))


def told(answer: Answer) -> str:
    """Return what an answer says, record by record if there are any."""
    try:
        found = rows(answer)
    except Refused:
        return f"refused as a whole: {summary(answer)}"
    statuses = "; ".join(dict.fromkeys(map(status_of, found)))
    return f"{answer.status}, {message(answer)!r}, {len(found)} records: {statuses}"


async def read_empty(lab: Lab) -> Seen:
    """Send a record without an image."""
    seen = await read_oddly(lab, "a record without an image", {"_id": "empty"})

    def judge(cost: int) -> str:
        lab.empty_is_free = cost == 0
        return billed(1, cost)

    return Seen(seen.text, judge)


async def read_eleven(lab: Lab) -> Seen:
    """Send one record more than is allowed, none with an image."""
    records = [{"_id": f"empty-{number}"} for number in range(MAX_RECORDS + 1)]
    return await read_oddly(lab, "eleven records", *records)


def price_of_eleven(lab: Lab) -> int:
    """Return what `read_eleven` may cost, by what one such record did."""
    return 0 if lab.empty_is_free else (MAX_RECORDS + 1) * PRICE


async def read_unknown_language(lab: Lab) -> Seen:
    """Ask for a language that is not in the documentation."""
    return await read_oddly(lab, "an unknown language", picture(lab, LANGUAGE), lang="tlh")


async def read_unknown_field(lab: Lab) -> Seen:
    """Send a field beside the records that is not in the documentation."""
    bad = {"_id": "no image", "_base64": NO_IMAGE}
    return await read_oddly(lab, "an unknown field", bad, no_such_field=1)


FREE_STEPS = tuple(
    Step(
        f"What does a refusal look like: {name}?",
        f"{spec[0]} {spec[1]}",
        partial(send_wrong, name=name),
    )
    for name, spec in FREE.items()
)

ODD_STEPS = (
    Step(
        "What comes of a record without an image?",
        "a record with an _id and nothing else",
        read_empty,
        worst=price(),
    ),
    Step(
        "What comes of more than ten records?",
        "eleven records without images",
        read_eleven,
        worst=price_of_eleven,
    ),
    Step(
        "What comes of an unknown language?",
        'a good picture with lang "tlh"',
        read_unknown_language,
        worst=price(),
    ),
    Step(
        "What comes of an unknown field?",
        "a field beside the records, with bytes that are no image",
        read_unknown_field,
        worst=price(),
    ),
)
