"""Answers as the service documents them, key by key, for requests of any ids.

Source: https://docs.ximilar.com/text/ocr, read in 2026-08. `tests/test_answers.py` compares them
with the samples there.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

from attrs import define, field

WORDS = ("BASIC", "MewV", "180", "ASTRIKE", "EnergyMix", "Choose", "up", "to", "2", "cards", "put")
REQUEST = "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6"
PROCESS = "1a088e14-714a-41bd-9a89-4d732becafcd"
URL = "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg"
PROMPT = "what is the name and type of the card as json result ({'name':'', 'type': ''})"
OK = {"code": 200, "text": "OK", "request_id": REQUEST}
FAILED = {"code": 400, "text": "the image cannot be read", "request_id": REQUEST}
UNKNOWN = {"language_hints": [], "page": 1, "orientation": 0.0}
"""Keys that are not documented, as a later version of the service may add them."""


def _texts(number: int) -> list[dict[str, Any]]:
    chance = random.Random(number)  # noqa: S311 - no secret
    texts = []
    for _ in range(number):
        x, y, width = chance.randrange(900), chance.randrange(1400), chance.randrange(30, 200)
        corners = (x, y), (x + width, y + 8), (x + width - 2, y + 35), (x - 2, y + 27)
        polygon = [[float(a), float(b)] for a, b in corners]
        texts.append({"polygon": polygon, "text": chance.choice(WORDS), "prob": chance.random()})
    return texts


ID = "%b"
"""Stands for the id of a record."""


def record(texts: int, *, gpt: bool) -> dict[str, Any]:
    """Return a record that was read."""
    pieces = _texts(texts)
    full = " ".join(piece["text"] for piece in pieces)
    prompt = {"prompt": PROMPT} if gpt else {}
    answer = {
        "full_prompt": f"Instruction: {PROMPT}\nInput: {full}\nResult:",
        "result": "{'name': 'Mew V', 'type': 'Basic'}",
        "json_result": {"name": "Mew V", "type": "Basic"},
    }
    return {
        "_url": URL,
        **prompt,
        "_status": OK,
        "_id": ID,
        "_width": 1140,
        "_height": 1520,
        "_ocr": {"texts": pieces, "full_text": full, "lang": "en", "lang_name": "english"},
        **({"_gpt": answer} if gpt else {}),
    }


def failed() -> dict[str, Any]:
    """Return a record that was not read."""
    return {"_url": URL, "_status": FAILED, "_id": ID}


@define
class Answers:
    """Writes answers whose records have so many texts.

    Attributes:
        texts: The texts of each record.
        gpt: Whether a language model was asked.
        failing: One in so many records was not read; 0 for none.
        unknown: One in so many records has unknown keys; 0 for none.
    """

    texts: int
    gpt: bool = False
    failing: int = 0
    unknown: int = 0
    _read: bytes = field(init=False)
    _odd: bytes = field(init=False)
    _failed: bytes = field(init=False)
    _end: bytes = field(init=False)

    def __attrs_post_init__(self) -> None:
        row = record(self.texts, gpt=self.gpt)
        odd = {**row, **UNKNOWN, "_ocr": {**row["_ocr"], "confidence": 0.97}}
        self._read, self._odd, self._failed = (
            json.dumps(one).encode() for one in (row, odd, failed())
        )
        end = {
            "status": {**OK, "proc_id": PROCESS},
            "statistics": {"processing time": 5.054640769958496},
        }
        self._end = json.dumps(end).encode()[1:]

    def write(self, ids: Sequence[bytes]) -> bytes:
        """Return the answer to a request of these ids."""
        rows = [self._row(place) % name for place, name in enumerate(ids)]
        return b'{"records": [%b], %b' % (b", ".join(rows), self._end)

    def _row(self, place: int) -> bytes:
        # Alike in each request, so that no run has more of them than another.
        if self.failing and place % self.failing == self.failing - 1:
            return self._failed
        if self.unknown and place % self.unknown == self.unknown - 1:
            return self._odd
        return self._read
