"""What others send: samples of the documentation, edited as JSON and damaged as bytes."""

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.protocol.replies import JSON, READ_GPT_REPLY, READ_REPLY

FORGED = "no\n2026-11-27 ERROR root: lost\r\x1b[2J\x9b31m\u202eoops\u2028\ud800"
"""What would begin lines in logs and give orders to terminals."""

DEPTHS = (5, 70, 500, 970, 1_100, 20_000)

NESTED = [
    f"{opening * depth}1{closing * depth}"
    for opening, closing in ("[]", ('{"a":', "}"))
    for depth in DEPTHS
]

NUMBERS = ["9" * digits for digits in (19, 310, 4_299, 5_000, 50_000)]

WORDS = ["\\ud800", "\\u0000", "\\n", "x" * 100_000, "9" * 5_000, "1" * 4_000]

ITEMS = ["0", "[]", "{}", '""', '{"a":{}}', "1e9"]

TOKENS = [
    *NESTED,
    *NUMBERS,
    *(f'"{word}"' for word in WORDS),
    *(f"[{item}{f',{item}' * 5_000}]" for item in ITEMS),
    *("NaN", "-Infinity", "1e400", "-0", "1e-400", "1E308", "tru", "", "{}", "[]", "null", "true"),
    '{"a":1,"a":2}',
    json.dumps(FORGED),
    json.dumps(FORGED * 2_000),
    json.dumps({FORGED: [FORGED]}),
]
"""JSON that Python cannot write, or only at length; some of it is none."""

MARK = "@token {}@"

NAMES = (
    "_id _url _status _ocr _gpt _width records status code text request_id id detail results next"
    " response texts polygon prob full_text json_result result full_prompt extra"
)

KEYS = st.sampled_from([*NAMES.split(), ""]) | st.text(max_size=5)

VALUES = st.integers(0, len(TOKENS) - 1).map(MARK.format) | JSON

PLACES = st.integers(0, 10**6)


def _places(root: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where each value in *root* stands: in what, and where in that."""
    ahead = [root]
    while ahead:
        inside = ahead.pop()
        for key, value in enumerate(inside) if isinstance(inside, list) else inside.items():
            yield inside, key
            if isinstance(value, list | dict):
                ahead.append(value)


@st.composite
def documents(draw: st.DrawFn, samples: Sequence[Any]) -> Any:
    """Return one of some documents, with a few of its values exchanged, moved or multiplied."""
    root = [copy.deepcopy(draw(st.sampled_from(samples)))]
    for _ in range(draw(st.integers(0, 4))):
        places = list(_places(root))
        inside, key = places[draw(PLACES) % len(places)]
        edit = draw(st.sampled_from(["exchange", "move", "repeat", "rename", "remove", "wrap"]))
        if edit == "exchange" or inside is root:
            inside[key] = draw(VALUES)
        elif edit == "move":
            donor, at = places[draw(PLACES) % len(places)]
            inside[key] = copy.deepcopy(donor[at])
        elif edit == "wrap":
            inside[key] = draw(st.sampled_from([[inside[key]], {"a": inside[key]}]))
        elif edit == "remove":
            del inside[key]
        elif isinstance(inside, list):
            inside[key:key] = [inside[key]] * draw(st.sampled_from([1, 2, 9, 11, 200]))
        else:
            name = draw(KEYS)
            inside[name] = inside[key] if edit == "repeat" else inside.pop(key)
    return root[0]


def _written(document: Any, *, ascii_only: bool) -> bytes:
    text = json.dumps(document, ensure_ascii=ascii_only)
    for number, token in enumerate(TOKENS):
        text = text.replace(f'"{MARK.format(number)}"', token)
    return text.encode(errors="surrogatepass")


@st.composite
def bodies(draw: st.DrawFn, samples: Sequence[Any]) -> bytes:
    """Return a document as bytes, most of the time whole."""
    body = _written(draw(documents(samples)), ascii_only=draw(st.booleans()))
    at, end = draw(PLACES) % (len(body) + 1), draw(PLACES) % (len(body) + 1)
    match draw(st.sampled_from(["whole"] * 6 + [*DAMAGES])):
        case "cut":
            body = body[:at]
        case "noise":
            body = body[:at] + draw(st.binary(max_size=9)) + body[at + 1 :]
        case "repeat":
            body = body[:at] + body[at:end] * draw(st.sampled_from([2, 50])) + body[at:]
        case "splice":
            body = body[:at] + _written(draw(st.sampled_from(samples)), ascii_only=True)[end:]
        case "coding":
            coding = draw(st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "latin-1"]))
            body = body.decode(errors="replace").encode(coding, "replace")
        case "any":
            body = draw(st.binary(max_size=50))
    return body


DAMAGES = ("cut", "noise", "repeat", "splice", "coding", "any")

READS = [json.loads(READ_REPLY), json.loads(READ_GPT_REPLY)]
IDS = [document["records"][0]["_id"] for document in READS]
BATCH = {**READS[0], "records": [document["records"][0] for document in READS]}

REPLIES = [*READS, BATCH, {"status": {"code": 400, "text": "no"}}, {"detail": "Invalid token."}]

JOB = {"id": "r1", "status": "DONE", "type": "ocr", "created": "2026-08-01T10:00:00Z"}
ROWS = [{**row, "_id": f"{n}.0123abcd.a.jpg"} for n, row in enumerate(BATCH["records"])]

JOBS = [
    {**JOB, "response": {"records": ROWS, "status": READS[0]["status"]}},
    {**JOB, "status": "FAILED", "detail": "no"},
    {"count": 2, "next": "https://x.example/?page=2", "previous": None, "results": [JOB, JOB]},
    {"credits_counter": 7, "credits_limit": 100, "email": "a@b.c", "plan": {"name": "Free"}},
]

COMPLETIONS = [
    "Here it is: ```json\n{'a': 1, 'b': [{'c': \"x\"}], 'd': True}\n``` Bye.",
    '{"a": "1", "b": ["2026-08-31", null], "c": {"d": 1.5}}',
]

CLASSES = ["a: int, b: list[str]", "a:str?, b : list[date?]?, c: Decimal", "a:float,d:bool,b:time"]


@st.composite
def texts(draw: st.DrawFn, samples: Sequence[str], alphabet: str) -> str:
    """Return one of some texts, with pieces of it exchanged and multiplied."""
    text = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, 4))):
        at, end = sorted((draw(PLACES) % (len(text) + 1), draw(PLACES) % (len(text) + 1)))
        piece = draw(
            st.text(alphabet, max_size=6)
            | st.text(max_size=3)
            | st.sampled_from([text[at:end], FORGED, *samples])
        )
        times = draw(st.sampled_from([1, 1, 1, 3, 100, 5_000]))
        text = (text[:at] + piece * times + text[end:])[:200_000]
    return text


HEADERS = st.dictionaries(
    st.sampled_from(["X-Secret", "x-secret", "X-SECRET", "host"]) | st.text(max_size=4),
    st.sampled_from(["open-sesame", "open-sesame ", "", FORGED]) | st.text(max_size=4),
    max_size=3,
)
