"""Questions about large bodies: first without a picture, which costs nothing, then with one."""

import json
from collections.abc import Sequence
from functools import partial

import anyio

from _lib.live.lab import Lab, Refused, Seen, Step, describe
from _lib.live.pictures import pad
from _lib.live.readings import LARGE, PATH, billed, picture, price
from _lib.live.refusals import NOTHING
from _lib.live.wire import NoAnswer
from _lib.live.words import is_read, rows, status_of, summary, yes


async def send_large(lab: Lab) -> Seen:
    """Send ever larger bodies, filled up with spaces, until one is not taken."""
    lines: list[str] = []
    with anyio.move_on_after(lab.limits.uploads) as scope:
        for size in lab.limits.sizes:
            request = lab.place.post(PATH, *pad(NOTHING, b"", b" ", size))
            try:
                answer = await lab.ask(request, keep=f"a body of {size / 1e6:g} MB without records")
            except NoAnswer as error:
                lines.append(f"{size / 1e6:g} MB: {describe(error)}")
                break
            lines.append(f"{size / 1e6:g} MB: {summary(answer)}; {answer.took:.1f} s")
            if answer.sent < request.length or answer.status in {413, 502, 503, 504}:
                lines[-1] += f"; {answer.sent:,} bytes were sent by then"
                break
            lab.largest = size
    if scope.cancelled_caught:
        lines.append(f"larger ones take more than {lab.limits.uploads:g} s to send")
    return Seen("\n".join(lines))


async def read_large(lab: Lab, size: int) -> Seen:
    """Read a picture in a body of that *size* [bytes], which is filled up behind the JPEG's end."""
    number = LARGE + lab.limits.sizes.index(size)
    head, tail = json.dumps({"records": [picture(lab, number)]}).encode().rsplit(b'"', 1)
    request = lab.place.post(PATH, *pad(head, b'"' + tail, b"A", size))
    try:
        answer = await lab.ask(request, keep=f"a picture in a body of {size / 1e6:g} MB")
        [row] = rows(answer)
    except (NoAnswer, Refused) as error:
        return Seen(f"not taken: {describe(error)}", partial(billed, 1))
    lab.is_large_read = lab.is_large_read or "_ocr" in row
    code = lab.pictures.code(number)
    said = f"{status_of(row)}, text read: {yes(is_read(row, code))}, after {answer.took:.2f} s"
    return Seen(said, partial(billed, 1))


def large_steps(sizes: Sequence[int]) -> list[Step]:
    """Return the questions about bodies of these *sizes* [bytes].

    With a picture the largest comes first, because the smaller ones need not be paid for if it is
    read.
    """
    smallest, largest = sizes[0] / 1e6, sizes[-1] / 1e6
    return [
        Step(
            "Which is the largest body that is taken?",
            f"no records and spaces, {smallest:g} to {largest:g} MB, until one is refused",
            send_large,
        ),
        *(
            Step(
                f"Is a picture read that makes a body of {size / 1e6:g} MB?",
                "a JPEG with zeros behind its end",
                partial(read_large, size=size),
                worst=price(),
                is_answered=False,
                is_open=partial(_is_worth_sending, size),
            )
            for size in reversed(sizes)
        ),
    ]


def _is_worth_sending(size: int, lab: Lab) -> bool:
    return size <= lab.largest and not lab.is_large_read
