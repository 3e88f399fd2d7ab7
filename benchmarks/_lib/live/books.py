"""The money: what the account says was spent, and what may still be spent."""

from contextlib import suppress

import anyio
from attrs import define, field

from _lib.live.wire import NoAnswer, Place, ask

DETAILS = "/account/v2/details/"
TRIES = 3
PATIENCE = 10.0
"""How long one look may take [s]."""


@define
class Books:
    """The account's counter of credits, as it was seen. Lives for one run.

    Whether the counter counts what was used or what is left is not known, so only differences
    count.

    Attributes:
        place: Where the account is asked.
        pause: Time between two looks [s].
        first: What the counter said at first.
        last: What it said last.
        moved_after: When the counter last moved, from the end of the step [s].
        lag: How long after an answer the counter moves [s].
    """

    place: Place
    pause: float
    first: int | None = None
    last: int | None = None
    moved_after: float = 0.0
    lag: float = 0.0
    _is_fresh: bool = False

    @property
    def spent(self) -> int:
        """By how much the counter moved in all [credits]."""
        return 0 if self.first is None or self.last is None else abs(self.last - self.first)

    async def known(self) -> int | None:
        """Return what the counter said, and look anew if the last look was in vain."""
        return self.last if self._is_fresh else await self.look()

    async def look(self) -> int | None:
        """Return what the counter says now, or None if the account does not tell."""
        self._is_fresh = False
        # An account that never told anything is not asked with patience.
        for attempt in range(TRIES if self.first is not None else 1):
            if attempt:
                await anyio.sleep(self.pause)
            with suppress(NoAnswer, OSError, anyio.BrokenResourceError, TimeoutError):
                with anyio.fail_after(PATIENCE):
                    answer = await ask(self.place, self.place.get(DETAILS))
                details = answer.document
                counter = details.get("credits_counter") if isinstance(details, dict) else None
                if answer.status == 200 and type(counter) is int:
                    self.first = counter if self.first is None else self.first
                    self.last, self._is_fresh = counter, True
                    return counter
        return None

    async def settle(self, before: int | None, *, quiet: float, enough: int) -> int | None:
        """Look until the counter is at rest.

        Args:
            before: What it said before the step.
            quiet: How long it must not move [s].
            enough: By how much it can have moved at most [credits]. More is not waited for.

        Returns:
            What it says, or None if the account does not tell.
        """
        began = moved = anyio.current_time()
        seen, self.moved_after = before, 0.0
        while (now := await self.look()) is not None:
            if now != seen:
                seen, moved = now, anyio.current_time()
                self.moved_after = moved - began
            is_over = before is not None and abs(now - before) >= enough
            if is_over or anyio.current_time() - moved >= quiet:
                return now
            await anyio.sleep(self.pause)
        return None


@define
class Budget:
    """What may be spent, and what may have been.

    Attributes:
        limit: What may be spent [credits].
        charged: What the steps so far cost at most [credits].
        books: What the account says of it.
    """

    limit: int
    books: Books = field(repr=False)
    charged: int = 0

    @property
    def left(self) -> int:
        """What may still be spent, whichever way it is counted [credits]."""
        return self.limit - max(self.charged, self.books.spent)

    def charge(self, worst: int, measured: int | None, *, is_final: bool) -> None:
        """Count a step.

        Args:
            worst: What it may cost [credits].
            measured: What the account says that it cost, or None if it does not say.
            is_final: Whether that can be relied on. The bill for a request that was not answered
                may come late, so that it counts in full.
        """
        if measured is None:
            self.charged += worst
        else:
            self.charged += measured if is_final else max(worst, measured)
