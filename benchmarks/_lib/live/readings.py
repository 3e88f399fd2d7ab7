"""Questions that cost credits, because they have images read."""

import json
from functools import partial
from statistics import median
from typing import Any

from _lib.live.lab import Lab, Seen, Step
from _lib.live.pictures import NO_IMAGE, SIZE, TURNED
from _lib.live.wire import Request
from _lib.live.words import (
    DOCUMENT_KEYS,
    ROW_KEYS,
    framing,
    gateway,
    is_read,
    message,
    names,
    own_time,
    rows,
    status_of,
    summary,
    yes,
)
from ximilar_ocr_async._constants import CREDITS, MAX_RECORDS

PATH = "/ocr/v2/read"
PRICE = CREDITS["read"]
NOWHERE = "https://images.ximilar.com/examples/fail/there-is-no-such-picture.jpg"
FIRST, BESIDE, TURN, TEN, LOST, LARGE, LANGUAGE, CROWD = 1, 2, 3, 100, 200, 300, 400, 500
"""Numbers of the pictures that each question begins with, so that no two send the same."""


def reading(lab: Lab, *records: dict[str, Any], **more: Any) -> Request:
    """Make a request to read *records*."""
    return lab.place.post(PATH, json.dumps({"lang": "en", "records": records, **more}).encode())


def picture(lab: Lab, number: int, **more: Any) -> dict[str, Any]:
    """Make a record of the picture of that *number*."""
    return {"_id": f"id-{number}", "_base64": lab.pictures.draw(number), **more}


def price(records: int = 1) -> Any:
    """Return what says that so many records may cost their whole price."""
    return lambda _: records * PRICE


def billed(records: int, cost: int) -> str:
    """Say what a *cost* means for a request of so many *records*."""
    return f"cost {cost} credits: {cost / PRICE:g} of {records} billed at {PRICE} each"


async def read_one(lab: Lab) -> Seen:
    """Read one picture, and look at all that comes with it."""
    sent = picture(lab, FIRST, my_key=42)
    answer = await lab.ask(reading(lab, sent), keep="one picture")
    [row] = rows(answer)
    document = answer.document
    status = document.get("status")
    lab.times[1].append(answer.took)
    lines = [
        f"{status_of(row)}, text read: {yes(is_read(row, lab.pictures.code(FIRST)))}",
        f"_id echoed: {yes(row.get('_id') == sent['_id'])}",
        f"a key of our own echoed: {yes(row.get('my_key') == 42)}",
        f"keys of a record that are not documented: {names(row.keys() - ROW_KEYS - {'my_key'})}",
        f"keys beside records: {names(document.keys() - {'records'})}",
        f"those of them that are not documented: {names(document.keys() - DOCUMENT_KEYS)}",
        f"status.proc_id: {yes(isinstance(status, dict) and 'proc_id' in status)}",
        f"its own time: {own_time(answer)}; here: {answer.took:.2f} s",
        f"answer: {framing(answer)}",
        f"gateway: {gateway(answer)}",
    ]
    return Seen("\n".join(lines), partial(billed, 1))


async def read_failing(lab: Lab) -> Seen:
    """Read a picture beside two records that cannot be read."""
    sent = [
        {"_id": "nowhere", "_url": NOWHERE},
        {"_id": "no image", "_base64": NO_IMAGE},
        picture(lab, BESIDE),
    ]
    answer = await lab.ask(reading(lab, *sent), keep="two bad records and a good one")
    if answer.status >= 300:
        return Seen(f"the request was refused as a whole: {summary(answer)}", partial(billed, 3))
    found = rows(answer)
    lines = [
        f"order kept: {yes([row.get('_id') for row in found] == [one['_id'] for one in sent])}",
        f"the whole: {answer.status}, {message(answer)!r}",
    ]
    lines += [f"{row.get('_id')}: {status_of(row)}; keys: {names(row)}" for row in found]
    told = {PRICE: "failed records are free", 3 * PRICE: "failed records are billed"}
    if sum("_ocr" in row for row in found) != 1:
        told = {}

    def judge(cost: int) -> str:
        return f"{billed(3, cost)}: {told.get(cost, 'not clear')}"

    return Seen("\n".join(lines), judge)


async def read_again(lab: Lab) -> Seen:
    """Read the picture of `read_one` once more, in the same bytes."""
    answer = await lab.ask(reading(lab, picture(lab, FIRST)))
    [row] = rows(answer)
    lab.times[1].append(answer.took)
    return Seen(f"{status_of(row)}, after {answer.took:.2f} s", partial(billed, 1))


async def read_turned(lab: Lab) -> Seen:
    """Read a picture that is upright only to those who heed its orientation."""
    sent = {"_id": "turned", "_base64": lab.pictures.draw(TURN, TURNED)}
    answer = await lab.ask(reading(lab, sent))
    [row] = rows(answer)
    lab.times[1].append(answer.took)
    size = row.get("_width"), row.get("_height")
    told: dict[Any, str] = {SIZE: "heeded", SIZE[::-1]: "not heeded"}
    lines = [
        f"_width and _height: {size[0]} and {size[1]}, upright is {SIZE[0]} and {SIZE[1]}",
        f"orientation: {told.get(size, 'not clear')}",
        f"text read: {yes(is_read(row, lab.pictures.code(TURN)))}",
    ]
    return Seen("\n".join(lines), partial(billed, 1))


async def read_ten(lab: Lab, number: int) -> Seen:
    """Read ten pictures in one request, and hold the time against that of one."""
    # Descending, because a service that sorts ids would keep an ascending order.
    sent = [picture(lab, number - offset) for offset in range(MAX_RECORDS)]
    answer = await lab.ask(reading(lab, *sent))
    found = rows(answer)
    lab.times[MAX_RECORDS].append(answer.took)
    ids = [row.get("_id") for row in found]
    lines = [
        f"order kept: {yes(ids == [one['_id'] for one in sent])}",
        f"read: {sum('_ocr' in row for row in found)} of {len(sent)}",
        compare(lab),
        f"its own time: {own_time(answer)}",
        f"answer: {framing(answer)}",
    ]
    return Seen("\n".join(lines), partial(billed, MAX_RECORDS))


def compare(lab: Lab) -> str:
    """Hold the time of ten records in one request against that of one."""
    ten = median(lab.times[MAX_RECORDS])
    said = f"ten: {ten:.2f} s (median of {len(lab.times[MAX_RECORDS])})"
    if not lab.times[1]:
        return said
    one = median(lab.times[1])
    return (
        f"{said}; one: {one:.2f} s (median of {len(lab.times[1])}); "
        f"ten take {ten / one:.1f} times as long as one"
    )


async def read_ten_again(lab: Lab, number: int) -> Seen:
    """Read ten other pictures, for a median that is worth more."""
    seen = await read_ten(lab, number)
    return Seen(compare(lab), seen.verdict)


STEPS = (
    Step(
        "What does a good answer hold? What does one record cost?",
        "one picture, with an _id and a key of our own",
        read_one,
        worst=price(),
    ),
    Step(
        "Are failed records billed?",
        "a URL that does not exist, bytes that are no image, and a good picture in one request",
        read_failing,
        worst=price(3),
        is_about_money=True,
    ),
)
"""The questions that come first, because later ones build on them."""

MORE_STEPS = (
    Step(
        "Is the same image billed twice?",
        "the first picture once more, in the same bytes",
        read_again,
        worst=price(),
        is_about_money=True,
    ),
    Step(
        "Is the EXIF orientation heeded?",
        "a picture that is stored lying on its side, with orientation 6",
        read_turned,
        worst=price(),
    ),
    Step(
        "How long do ten records take against one? How does the largest answer come?",
        "ten pictures in one request",
        partial(read_ten, number=TEN),
        worst=price(MAX_RECORDS),
    ),
)


def steps_again(times: int) -> list[Step]:
    """Return the questions that take the time of ten records again."""
    return [
        Step(
            "How long do ten records take, once more?",
            "ten other pictures in one request",
            partial(read_ten_again, number=TEN + MAX_RECORDS * (again + 1)),
            worst=price(MAX_RECORDS),
        )
        for again in range(times)
    ]
