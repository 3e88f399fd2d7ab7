"""Three images in; a trading card, an invoice and a nutrition label out, each as its own class.

Run it with ``python examples/typed_answers.py`` and the account's token in XIMILAR_API_TOKEN. To
use a language model of your own, start ``ximilar-ocr serve --gpt-url URL --gpt-model NAME`` and set
XIMILAR_BASE_URL to the URL that it prints.
"""

import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from attrs import field, fields, frozen, has

from ximilar_ocr_async import Failure, OCRSession, Outcome, Success

IMAGES = Path(__file__).parent / "images"


@frozen
class Attack:
    """An attack of the character on a trading card."""

    name: str
    damage: int
    effect: str


@frozen
class TradingCard:
    """A card of a trading card game."""

    name: str
    hit_points: int
    attacks: list[Attack]
    flavour: str | None = field(metadata={"description": "the story of the character"})
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
    """An invoice with its lines and totals."""

    seller: str
    number: str
    issued: date
    lines: list[Line]
    subtotal: Decimal
    tax_percent: Decimal
    total: Decimal = field(metadata={"description": "the amount due, including tax"})
    order: str | None = field(metadata={"description": "the buyer's order number"})


@frozen
class Nutrition:
    """Nutrients in 100 g of a food."""

    energy: int = field(metadata={"description": "in kJ"})
    fat: Decimal = field(metadata={"description": "in g"})
    saturates: Decimal = field(metadata={"description": "in g"})
    carbohydrate: Decimal = field(metadata={"description": "in g"})
    sugars: Decimal = field(metadata={"description": "in g"})
    fibre: Decimal | None = field(metadata={"description": "in g"})
    protein: Decimal = field(metadata={"description": "in g"})
    salt: Decimal = field(metadata={"description": "in g"})


@frozen
class Label:
    """The label on a packet of food."""

    product: str
    net_weight: int = field(metadata={"description": "in g"})
    nutrition: Nutrition
    ingredients: list[str]


CLASSES: dict[str, type[Any]] = {
    "en-card.png": TradingCard,
    "en-invoice.png": Invoice,
    "en-label.webp": Label,
}
"""The class of each image."""


async def fill_in(session: OCRSession) -> list[Outcome[Any]]:
    """Turn each image into its class. All are asked about at once, so that they share a request."""
    outcomes: dict[str, Outcome[Any]] = {}

    async def extract(name: str, cls: type[Any]) -> None:
        [outcomes[name]] = await session.extract_all([IMAGES / name], cls)

    async with anyio.create_task_group() as group:
        for name, cls in CLASSES.items():
            group.start_soon(extract, name, cls)
    return [outcomes[name] for name in CLASSES]


def show(outcome: Outcome[Any]) -> None:
    """Print an outcome: the fields of its value, or its error."""
    name = Path(outcome.image.name).name
    match outcome:
        case Success(value=value):
            print(f"{name}: {type(value).__name__}")
            print("\n".join(lines_of(value, "  ")))
        case Failure(error=error):
            print(f"{name}: {error}")


def lines_of(value: Any, indent: str) -> Iterator[str]:
    """Yield a line for each field of *value*; lists and nested objects take several lines."""
    for name in (a.name for a in fields(value.__class__)):
        inner: Any = getattr(value, name)
        if inner.__class__ is list:
            yield f"{indent}{name}:"
            yield from (f"{indent}  {item!r}" for item in inner)
        elif has(inner.__class__):
            yield f"{indent}{name}:"
            yield from lines_of(inner, f"{indent}  ")
        else:
            yield f"{indent}{name}: {inner!r}"


async def main() -> int:
    """Print the outcome of each image; return the exit code."""
    async with OCRSession() as session:
        outcomes = await fill_in(session)
    for outcome in outcomes:
        show(outcome)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(anyio.run(main))
