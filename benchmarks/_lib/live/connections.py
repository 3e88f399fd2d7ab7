"""Questions about connections: how they are made, what a hang-up costs, when idle ones end."""

from functools import partial

import anyio

from _lib.live.books import DETAILS
from _lib.live.lab import Lab, Seen, Step
from _lib.live.readings import LOST, billed, picture, price, reading
from _lib.live.wire import describe_tls, dial
from _lib.live.words import gateway, names, summary

COUNTERS = ("credits_counter", "credits_limit")


async def look_at_account(lab: Lab) -> Seen:
    """Ask for the account; tell its credits and the names of all else, which may be personal."""
    answer = await lab.ask(lab.place.get(DETAILS))
    details = answer.document
    if answer.status != 200 or not isinstance(details, dict):
        return Seen(summary(answer))
    told = ", ".join(f"{key}: {details.get(key)}" for key in COUNTERS)
    return Seen(f"{told}\nkeys: {names(details)}\ntook {answer.took:.2f} s")


async def look_at_connection(lab: Lab) -> Seen:
    """Connect, and tell what was agreed upon."""
    with anyio.fail_after(lab.limits.exchange):
        agreed = await describe_tls(lab.place)
    answer = await lab.ask(lab.place.get(DETAILS))
    return Seen(f"{agreed}\nHTTP/{answer.version}, {gateway(answer)}")


async def hang_up(lab: Lab, number: int, share: float) -> Seen:
    """Send a *share* of a request's body, wait, and hang up."""
    request = reading(lab, picture(lab, number))
    most = None if share == 1 else int(request.length * share)
    with anyio.fail_after(lab.limits.exchange):
        async with dial(lab.place) as line:
            await line.send(request, most=most)
            heard = b""
            with anyio.move_on_after(lab.limits.hang_up):
                heard = await line.listen()
    text = f"{line.sent:,} of {request.length:,} bytes of the body were sent"
    if heard:
        text += "; the answer had come before"
    return Seen(text, partial(billed, 1))


async def hang_up_on_answer(lab: Lab, number: int) -> Seen:
    """Send a request, and hang up as soon as its answer begins."""
    request = reading(lab, picture(lab, number))
    with anyio.fail_after(lab.limits.exchange):
        async with dial(lab.place) as line:
            await line.send(request)
            heard = await line.stream.receive(len("HTTP/1.1 200"))
    return Seen(f"the answer began with {heard.decode('latin-1')!r}", partial(billed, 1))


async def watch_idle(lab: Lab) -> Seen:
    """Keep a connection open after its answer, and wait until the service ends it."""
    async with dial(lab.place) as line:
        with anyio.fail_after(lab.limits.exchange):
            answer = await line.exchange(lab.place.get(DETAILS))
        if not line.reuse():
            return Seen(f"it was never idle: the answer, {answer.status}, ended it")
        began, heard = anyio.current_time(), None
        # A little before the time for all is over, so that the finding is not lost.
        left = anyio.current_effective_deadline() - began - lab.limits.quiet
        with anyio.move_on_after(min(lab.limits.idle, left)):
            heard = await line.listen()
        after = anyio.current_time() - began
    told = f"keep-alive: {answer.header('keep-alive') or 'not told'}"
    if heard is None:
        return Seen(f"still open after {after:.1f} s; {told}")
    how = "was closed" if heard == b"" else f"said {len(heard)} bytes"
    return Seen(f"it {how} after {after:.1f} s; {told}")


FIRST_STEPS = (
    Step("What does the account say?", f"GET {DETAILS}", look_at_account),
    Step(
        "Which TLS, which HTTP, which gateway?",
        "a connection that offers HTTP/2, and one that does not",
        look_at_connection,
    ),
)

HANG_UPS = (
    Step(
        "Is a request billed whose client hung up before the body was whole?",
        "half of the body was sent, then the connection closed",
        partial(hang_up, number=LOST, share=0.5),
        worst=price(),
        is_about_money=True,
        is_answered=False,
    ),
    Step(
        "Is it billed if the client hung up after the body was whole?",
        "the whole body was sent, then the connection closed",
        partial(hang_up, number=LOST + 1, share=1),
        worst=price(),
        is_about_money=True,
        is_answered=False,
    ),
    Step(
        "Is it billed if the client hung up in the middle of the answer?",
        "the connection was closed at the first bytes of the answer",
        partial(hang_up_on_answer, number=LOST + 2),
        worst=price(),
        is_about_money=True,
        is_answered=False,
    ),
)

IDLE = Step(
    "How long is an idle connection kept?",
    "a connection was kept open after its answer, and its end waited for",
    watch_idle,
)
