"""Three pictures in; a trading card, an invoice and a nutrition label out, each as its own class.

Run as ``python examples/typed_answers.py``, with the account's token in XIMILAR_API_TOKEN. Or in
front of a language model of your own: ``ximilar-ocr serve --gpt-url URL --gpt-model NAME``, and its
address in XIMILAR_BASE_URL.
"""

import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from attrs import field, fields, frozen

from ximilar_ocr_async import OCRSession, Outcome

PICTURES = Path(__file__).parent / "images"


@frozen
class Attack:
    """What the figure on a trading card can do."""

    name: str
    damage: int
    effect: str


@frozen
class TradingCard:
    """A trading card of a game."""

    name: str
    hit_points: int
    attacks: list[Attack]
    flavour: str | None = field(metadata={"description": "what is told of the figure"})
    number: int
    set_size: int
    rarity: str


@frozen
class Line:
    """One line of an invoice."""

    description: str
    quantity: int
    unit_price: Decimal
    amount: Decimal


@frozen
class Invoice:
    """An invoice."""

    seller: str
    number: str
    issued: date
    lines: list[Line]
    subtotal: Decimal
    tax_percent: Decimal
    total: Decimal = field(metadata={"description": "what is due, with tax"})
    order: str | None = field(metadata={"description": "the buyer's order number"})


@frozen
class Nutrition:
    """What 100 g hold."""

    energy: int = field(metadata={"description": "[kJ]"})
    fat: Decimal = field(metadata={"description": "[g]"})
    saturates: Decimal = field(metadata={"description": "[g]"})
    carbohydrate: Decimal = field(metadata={"description": "[g]"})
    sugars: Decimal = field(metadata={"description": "[g]"})
    fibre: Decimal | None = field(metadata={"description": "[g]"})
    protein: Decimal = field(metadata={"description": "[g]"})
    salt: Decimal = field(metadata={"description": "[g]"})


@frozen
class Label:
    """The label of a food."""

    product: str
    net_weight: int = field(metadata={"description": "[g]"})
    nutrition: Nutrition
    ingredients: list[str]


CLASSES: dict[str, type[Any]] = {
    "en-card.png": TradingCard,
    "en-invoice.png": Invoice,
    "en-label.webp": Label,
}
"""What to make of which picture."""


async def extract_all(session: OCRSession) -> list[Outcome[Any]]:
    """Have each picture made into its class, all at once: their records share a request."""
    outcomes: list[Outcome[Any]] = []

    async def extract(name: str, cls: type[Any]) -> None:
        outcomes.extend(await session.extract_all([PICTURES / name], cls))

    async with anyio.create_task_group() as group:
        for name, cls in CLASSES.items():
            group.start_soon(extract, name, cls)
    return outcomes


def lines_of(outcome: Outcome[Any]) -> list[str]:
    """Return what came of a picture, one line for each field."""
    heading = Path(outcome.image.name).name
    if not outcome.ok:
        return [f"{heading}: {outcome.error}"]
    value = outcome.value
    return [f"{heading}: {type(value).__name__}", *_lines_of(value, "  ")]


def _lines_of(value: Any, indent: str) -> list[str]:
    told = []
    for name in (a.name for a in fields(type(value))):
        item = getattr(value, name)
        told.append(f"{indent}{name} = {item!r}")
    return told


async def main() -> int:
    """Print what comes of each picture; return the exit code."""
    async with OCRSession() as session:
        outcomes = await extract_all(session)
    for outcome in outcomes:
        print("\n".join(lines_of(outcome)))
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(anyio.run(main))
