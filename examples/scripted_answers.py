"""Scripted answers for the demo: prompts in, answers that a language model might give out.

They were written by hand, not by a model. One is inside a code fence, one is surrounded by text,
and one is a Python dict: models do all of this although they are asked for nothing but JSON.
"""

CARD = """\
```json
{
  "name": "Emberpaw",
  "hit_points": 90,
  "attacks": [
    {"name": "Warm Nap", "damage": 20, "effect": "Heal a friend by ten points."},
    {"name": "Chimney Dash", "damage": 60, "effect": "Flip a coin. If heads, strike again."}
  ],
  "flavour": "It sleeps where the bread is baked.",
  "number": 27,
  "set_size": 120,
  "rarity": "Rare"
}
```
"""

INVOICE = """\
Here is what the invoice says; I found no order number on it:

{"seller": "Larkfield Joinery Ltd.", "number": "2025-0187", "issued": "2025-06-03",
 "lines": [
  {"description": "Oak shelf, 120 cm", "quantity": 4, "unit_price": 86.50, "amount": 346.00},
  {"description": "Wall bracket, black", "quantity": 8, "unit_price": 7.25, "amount": 58.00},
  {"description": "Beech table top", "quantity": 1, "unit_price": 412.00, "amount": 412.00},
  {"description": "Fitting, per hour", "quantity": "6", "unit_price": 38.00, "amount": 228.00}
 ],
 "subtotal": 1044.00, "tax_percent": 20, "total": "1252.80", "order": null}

The lines add up to the subtotal. Let me know if you need anything else!
"""

LABEL = """\
{'product': 'Golden Oat Crunch', 'net_weight': 375,
'nutrition': {'energy': 1780, 'fat': 12.4, 'saturates': 1.9, 'carbohydrate': 61.0, 'sugars': 17.5,
'fibre': 8.2, 'protein': 10.6, 'salt': 0.35},
'ingredients': ['oat flakes', 'honey', 'almonds', 'sunflower oil', 'raisins', 'sea salt']}
"""


def answer(prompt: str, _: str) -> str:
    """Return the answer to a prompt that was made from one of the three classes."""
    answers = {"TradingCard": CARD, "Invoice": INVOICE, "Label": LABEL}
    return next(answers[name] for name in answers if f"of the type {name}," in prompt)
