"""Planned faults: the same seed, the same faults; and a service that shows what was planned."""

import base64
import json
import math
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async import OptionError
from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async.testing import virtual_time
from ximilar_ocr_async.testing.service.contract import DETAILS, READ, Reply, Request
from ximilar_ocr_async.testing.service.faults import (
    LOST_REQUESTS,
    OF_JOBS,
    OF_RECORDS,
    OF_REQUESTS,
    REFUSED,
    SPOILED_REPLIES,
    FaultPlan,
    Interference,
)
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

SEEDS = st.integers()
DRAWS = 1000
PLANS = st.builds(
    FaultPlan,
    seed=SEEDS,
    **dict.fromkeys(OF_REQUESTS, st.floats(0, 1 / len(OF_REQUESTS))),
    **dict.fromkeys(OF_RECORDS, st.floats(0, 1 / len(OF_RECORDS))),
    **dict.fromkeys(OF_JOBS, st.floats(0, 1 / len(OF_JOBS))),
)


def is_near(count: int, share: float, draws: int) -> bool:
    """Whether *count* of *draws* is within six standard deviations of *share*, and six for luck."""
    return abs(count - share * draws) <= 6 * math.sqrt(draws * share * (1 - share)) + 6


# --- Drawing


@given(plan=PLANS)
def test_shares_are_approached(plan: FaultPlan) -> None:
    """Over many requests each fault comes about as often as planned, at each place too."""
    draws = [plan.draw(number, seconds=0) for number in range(DRAWS)]
    met = Counter(drawn.fault for drawn in draws)
    assert all(is_near(met[name], getattr(plan, name), DRAWS) for name in OF_REQUESTS)
    for place in range(MAX_RECORDS):
        met = Counter(drawn.records[place] for drawn in draws)
        assert all(is_near(met[name], getattr(plan, name), DRAWS) for name in OF_RECORDS)
    met = Counter(plan.draw_job(number) for number in range(DRAWS))
    assert all(is_near(met[name], getattr(plan, name), DRAWS) for name in OF_JOBS)


@given(plan=PLANS, numbers=st.lists(st.integers(0, 10**6)))
def test_what_is_drawn_depends_on_the_number_alone(plan: FaultPlan, numbers: list[int]) -> None:
    """Whatever is drawn before or beside it, a request of one number meets the same."""
    first = {number: plan.draw(number, seconds=0) for number in numbers}
    assert {number: plan.draw(number, seconds=9) for number in reversed(numbers)} == first


def test_draws_are_the_same_in_every_release() -> None:
    """A seed means the same faults on every machine, so that a run can be talked about."""
    plan = FaultPlan(seed=7, unavailable=0.3, lost_replies=0.3, record_errors=0.3)
    draws = [plan.draw(number, seconds=0) for number in range(20)]
    names = {"": ".", "unavailable": "u", "lost_replies": "l", "record_errors": "e"}
    assert "".join(names[drawn.fault] for drawn in draws) == ".u.uu..ululuuuluuu.u"
    assert "".join(names[name] for name in draws[0].records) == ".e.e......"
    plan = FaultPlan(seed=7, failed_jobs=0.3, lost_submits=0.3)
    names = {"": ".", "failed_jobs": "f", "lost_submits": "l"}
    assert "".join(names[plan.draw_job(number)] for number in range(20)) == "llflll..l.fll.f.ff.."


def test_seeds_draw_different_faults() -> None:
    """Another seed is another run."""
    plans = [FaultPlan(seed=seed, unavailable=0.5) for seed in range(20)]
    runs = {tuple(plan.draw(n, seconds=0).fault for n in range(50)) for plan in plans}
    assert len(runs) == len(plans)


@given(seed=SEEDS, number=st.integers(0, 10**9))
@pytest.mark.parametrize("name", OF_REQUESTS)
def test_a_whole_share_is_met_by_all(name: str, seed: int, number: int) -> None:
    """A share of 1 is every request, and one of 0 none."""
    plan = FaultPlan(seed=seed, **{name: 1})
    assert plan.draw(number, seconds=0).fault == name
    assert FaultPlan(seed=seed).draw(number, seconds=0).fault == ""


@given(share=st.floats(0, 1), seed=SEEDS)
@example(share=0.0, seed=0)
@example(share=1.0, seed=0)
def test_poison_is_a_share_of_images(share: float, seed: int) -> None:
    """About as many images as planned are poison, whatever they are called."""
    plan = FaultPlan(seed=seed, poison=share)
    count = sum(plan.is_poison(f"https://images.example/{number}") for number in range(DRAWS))
    assert is_near(count, share, DRAWS)


@given(key=st.text(st.characters(), max_size=20), seed=SEEDS, share=st.floats(0, 1))
@example(key="\ud800", seed=0, share=0.5)
def test_an_image_is_poison_or_is_not(key: str, seed: int, share: float) -> None:
    """The same image is poison each time, and stays so when the share grows."""
    is_poison = FaultPlan(seed=seed, poison=share).is_poison(key)
    assert FaultPlan(seed=seed, poison=share).is_poison(key) == is_poison
    assert FaultPlan(seed=seed, poison=1).is_poison(key)
    assert not FaultPlan(seed=seed, poison=0).is_poison(key)


def test_outages_begin_and_end() -> None:
    """In an outage all is unavailable, from its first moment to before its end."""
    plan = FaultPlan(outages=((10, 5), (60, float("inf"))), crashed=1)
    moments = [0, 9.99, 10, 14.99, 15, 59, 60, 1e9]
    met = [plan.draw(0, seconds=seconds).fault == "unavailable" for seconds in moments]
    assert met == [False, False, True, True, False, False, True, True]


# --- What may be planned


@pytest.mark.parametrize(
    "options, message",
    [
        ({"unavailable": 1.5}, "unavailable is 1.5, expected a number from 0 to 1"),
        ({"poison": -0.1}, "poison is -0.1, expected a number from 0 to 1"),
        ({"garbled": "0.1"}, "garbled is '0.1', expected a number from 0 to 1"),
        ({"stalled": True}, "stalled is True, expected a number from 0 to 1"),
        ({"crashed": float("nan")}, "crashed is nan, expected a number from 0 to 1"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number"),
        ({"seed": True}, "seed is True, expected a whole number"),
        ({"no_gpt": 1}, "no_gpt is 1, expected true or false"),
        ({"lost_submits": 2}, "lost_submits is 2, expected a number from 0 to 1"),
        ({"failed_jobs": 0.6, "lost_submits": 0.5}, "+ lost_submits is 1.1, limit is 1"),
        ({"retry_after": -1}, "retry_after is -1, expected a number of at least 0"),
        ({"credits": 1.5}, "credits is 1.5, expected a whole number of at least 0"),
        ({"outages": 3}, "outages has 3, expected pairs (start, length) of at least 0 [s]"),
        ({"outages": [[1]]}, "outages has [1], expected pairs"),
        ({"outages": [[1, -1]]}, "outages has [1, -1], expected pairs"),
        ({"outages": [["1", 1]]}, "outages has ['1', 1], expected pairs"),
        ({"unavailable": 0.6, "garbled": 0.5}, "+ lost_replies + garbled is 1.1, limit is 1"),
        ({"record_errors": 1, "missing_records": 1}, "record_errors + missing_records is 2, "),
    ],
)
def test_what_cannot_be_is_no_plan(options: dict[str, Any], message: str) -> None:
    """A value outside its limits is told with its name and what would be allowed."""
    with pytest.raises(OptionError) as caught:
        FaultPlan(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("shares", [[0.1] * 6 + [0.4], [0.7, 0.1, 0.2], [0.15, 0.35, 0.3, 0.2]])
def test_shares_may_add_up_to_all(shares: list[float]) -> None:
    """Decimal shares that make 1 on paper are a plan, by which every request meets a fault."""
    plan = FaultPlan(**dict(zip(OF_REQUESTS, shares, strict=False)))  # type: ignore[arg-type]
    assert all(plan.draw(number, seconds=0.0).fault for number in range(200))


def test_every_share_has_its_fault() -> None:
    """What can be drawn is what the service knows to show."""
    assert set(OF_REQUESTS) == REFUSED.keys() | LOST_REQUESTS.keys() | SPOILED_REPLIES.keys()
    assert {*LOST_REQUESTS.values(), *SPOILED_REPLIES.values()} == set(
        Interference.__subclasses__()
    )


# --- Files


def write(folder: Path, text: str) -> Path:
    """Write a plan."""
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_is_loaded(tmp_path: Path) -> None:
    """The keys of a file are the plan's attributes."""
    path = write(tmp_path, "seed = 3\nunavailable = 0.1\noutages = [[60, 30.5]]\nno_gpt = true\n")
    plan = FaultPlan.load(path)
    assert plan == FaultPlan(seed=3, unavailable=0.1, outages=((60.0, 30.5),), no_gpt=True)
    assert FaultPlan.load(str(path)) == plan
    assert FaultPlan.load(write(tmp_path, "")) == FaultPlan()


@pytest.mark.parametrize(
    "text, message",
    [
        ("unavailible = 1", "unknown key unavailible, allowed are seed, unavailable, throttled, "),
        ("[unavailable]", "unavailable is {}, expected a number from 0 to 1"),
        ("seed = 1\nseed = 2", "cannot be read: "),
        ("hello", "cannot be read: "),
        ("garbled = 2", "garbled is 2, expected a number from 0 to 1"),
    ],
)
def test_a_file_that_is_no_plan_is_told(tmp_path: Path, text: str, message: str) -> None:
    """What is wrong is told with the file's name."""
    path = write(tmp_path, text)
    with pytest.raises(OptionError) as caught:
        FaultPlan.load(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is missing, or is no text, is an error of the same kind."""
    with pytest.raises(OptionError, match=r"plan\.toml cannot be read: No such file or directory"):
        FaultPlan.load(tmp_path / "plan.toml")
    (tmp_path / "plan.toml").write_bytes(b"\xff")
    with pytest.raises(OptionError, match=r"plan\.toml cannot be read: 'utf-8' codec"):
        FaultPlan.load(tmp_path / "plan.toml")


def test_a_plan_says_what_is_on() -> None:
    """As a string, a plan names what was planned, and the seed that it hangs on."""
    assert str(FaultPlan(seed=3)) == "none"
    plan = FaultPlan(seed=3, stalled=0.5, retry_after=0, outages=((1, 2),), credits=0)
    told = "stalled 0.5, retry_after 0, outages ((1.0, 2.0),), credits 0, seed 3"
    assert str(plan) == told


# --- The service


def request(*images: bytes | str, path: str = READ) -> Request:
    """Make a request with records of these images and URLs."""
    records = [
        {"_url": image} if isinstance(image, str) else {"_base64": base64.b64encode(image).decode()}
        for image in images
    ]
    return Request("POST", path, "Token abc", json.dumps({"records": records}).encode())


async def as_bytes(url: str) -> bytes:
    """Fetch the URL itself."""
    return url.encode()


def make(**options: Any) -> Service:
    """Make a service with faults."""
    return Service(ScriptedEngine(), fetch=as_bytes, faults=FaultPlan(**options))


def codes(reply: Reply) -> list[int]:
    """Return the status of each record."""
    return [record["_status"]["code"] for record in reply.document["records"]]


@pytest.mark.anyio
@pytest.mark.parametrize("fault, status", REFUSED.items())
@pytest.mark.parametrize("wait, header", [(None, None), (30, "30"), (0.25, "0.25"), (0, "0")])
async def test_refusals_read_and_bill_nothing(
    fault: str, status: int, wait: float | None, header: str | None
) -> None:
    """A refused request has its status, says why, and asks to wait where that is planned."""
    service = make(**{fault: 1}, retry_after=wait)
    reply = await service.answer(request(b"a"))
    assert reply.document == {"status": {"code": status, "text": f"planned fault: {fault}"}}
    assert reply.headers.get("Retry-After") == (None if fault == "crashed" else header)
    assert (reply.status, service.requests, service.records, service.billed) == (status, 1, 0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", LOST_REQUESTS)
async def test_lost_requests_read_and_bill_nothing(fault: str) -> None:
    """A request that never comes to the service is not read."""
    service = make(**{fault: 1})
    with pytest.raises(LOST_REQUESTS[fault]):
        await service.answer(request(b"a"))
    assert (service.requests, service.billed, service.bills) == (1, 0, {})


@pytest.mark.anyio
@pytest.mark.parametrize("fault", SPOILED_REPLIES)
async def test_spoilt_answers_are_billed(fault: str) -> None:
    """A request whose answer does not come through was read and billed."""
    service = make(**{fault: 1})
    for _ in range(2):
        with pytest.raises(SPOILED_REPLIES[fault]):
            await service.answer(request(b"a", "https://images.example/b"))
    assert (service.records, service.billed) == (4, 4)
    assert service.bills == {sha256(b"a").hexdigest(): 2, "https://images.example/b": 2}


@pytest.mark.anyio
async def test_failing_records_are_not_billed() -> None:
    """A record that is to fail does so in an answer that is fine, and the others are billed."""
    service = make(record_errors=0.5)
    drawn = service.faults.draw(0, seconds=0)
    reply = await service.answer(request(*[b"a"] * 10))
    assert codes(reply) == [500 if fault else 200 for fault in drawn.records]
    assert service.billed == drawn.records.count("") == service.bills[sha256(b"a").hexdigest()]


@pytest.mark.anyio
async def test_missing_records_are_billed() -> None:
    """A record that is left out of the answer was read and billed."""
    service = make(missing_records=0.5)
    drawn = service.faults.draw(0, seconds=0)
    reply = await service.answer(request(*[b"a"] * 10))
    assert codes(reply) == [200] * drawn.records.count("")
    assert 0 < drawn.records.count("") < service.billed == 10


@pytest.mark.anyio
async def test_poison_spoils_what_it_comes_with() -> None:
    """A request that holds poison is refused as a whole each time; others are read."""
    service = make(poison=0.5)
    images = [b"%d" % number for number in range(20)]
    sound = [i for i in images if not service.faults.is_poison(sha256(i).hexdigest())]
    poison = next(image for image in images if image not in sound)
    for batch in ([poison], [*sound[:3], poison], [poison, sound[0]]):
        reply = await service.answer(request(*batch))
        assert (reply.status, reply.document["status"]["text"]) == (400, "planned fault: poison")
    assert service.billed == 0
    assert codes(await service.answer(request(*sound[:5]))) == [200] * 5
    assert service.billed == 5


@pytest.mark.anyio
async def test_a_record_that_is_no_image_is_no_poison() -> None:
    """Records that are wrong in themselves fail by themselves."""
    service = make(poison=1)
    reply = await service.answer(Request("POST", READ, "Token abc", b'{"records": [{}]}'))
    assert codes(reply) == [400]


@pytest.mark.anyio
async def test_credits_run_out() -> None:
    """After so many billed records, requests are refused; the account still answers."""
    service = make(credits=3)
    assert codes(await service.answer(request(b"a", b"b"))) == [200, 200]
    assert codes(await service.answer(request(b"a", b"b"))) == [200, 200]
    reply = await service.answer(request(b"a"))
    assert (reply.status, reply.document["status"]["text"]) == (403, "credit limits reached")
    details = await service.answer(Request("GET", DETAILS, "Token abc"))
    assert (details.status, details.document["credits_counter"]) == (200, 20)
    assert service.billed == 4


@pytest.mark.anyio
async def test_outages_count_from_the_first_request() -> None:
    """The clock of the outages starts with the first request, not with the service."""
    service = make(outages=((10, 5),))
    statuses = []
    for _ in range(4):
        await anyio.sleep(6)
        statuses.append((await service.answer(request(b"a"))).status)
    assert statuses == [200, 200, 503, 200]


@given(plan=PLANS, seed=SEEDS)
def test_a_run_can_be_repeated(plan: FaultPlan, seed: int) -> None:
    """The same requests to two services of one plan meet the same and are billed the same."""
    images = [f"https://images.example/{seed}/{number}" for number in range(12)]

    async def run() -> tuple[list[Any], Counter[str]]:
        service = Service(ScriptedEngine(), fetch=as_bytes, faults=plan)
        met: list[Any] = []
        for start in range(0, 12, 4):
            try:
                reply = await service.answer(request(*images[start : start + 4]))
            except Interference as fault:
                met.append(type(fault))
            else:
                met.append((reply.status, [r.get("_ocr") for r in _records(reply)]))
        return met, service.bills

    def once() -> tuple[list[Any], Counter[str]]:
        name, options = virtual_time()
        return anyio.run(run, backend=name, backend_options=options)

    assert once() == once()


def _records(reply: Reply) -> list[Any]:
    records: list[Any] = reply.document.get("records", [])
    return records
