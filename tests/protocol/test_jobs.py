"""Asynchronous requests on the wire: what is submitted, and what is told of it."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async import (
    AuthError,
    JobFailed,
    OCRError,
    OptionError,
    Outcome,
    ReplyError,
    ReplyLost,
    ServiceUnavailable,
    Webhook,
)
from ximilar_ocr_async._http import Response
from ximilar_ocr_async._protocol import Document, Echo
from ximilar_ocr_async._protocol.jobs import (
    REQUESTS,
    bad_end,
    decode_info,
    decode_outcomes,
    decode_page,
    make_id,
    page_path,
    path_of,
    state_of,
)
from ximilar_ocr_async._protocol.requests import SubmitRequest
from ximilar_ocr_async.export import to_dict

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=[]))


def outcomes(rows: Any, places: Sequence[int] = ()) -> list[Outcome]:
    """Decode the results of a request that is called r1."""
    return decoded({"status": "DONE", "response": {"records": rows}}, places)


def document(value: Any) -> Document:
    """Return what the service sends."""
    return Document.of(json.dumps(value).encode())


def decoded(value: Any, places: Sequence[int]) -> list[Outcome]:
    """Decode the results of a request that is called r1; raise the error if there is one."""
    found = decode_outcomes(document(value), "r1", places)
    if isinstance(found, ReplyError):
        raise found
    return found


# ---- names


@given(st.integers(0, 999_999_999), st.none() | ANY_TEXT.filter(bool))
def test_an_image_is_known_again_by_its_records_name(index: int, name: str | None) -> None:
    """Place and name come back, whatever the name is, through JSON."""
    row = json.loads(json.dumps({"_id": make_id(index, name)}))
    [outcome] = outcomes([row])
    assert (outcome.index, outcome.image.id) == (index, name)
    assert outcome.ok
    assert outcome.record.id == (row["_id"] if name is None else name)


def test_names_are_unique() -> None:
    """Two images of the same place and name, in two jobs, are told apart."""
    assert len({make_id(0, "page") for _ in range(100)}) == 100


@pytest.mark.parametrize("name", ["page", "1.page", "1.0123ABCD.x", "٣.0123abcd.x", "1.0123abcd"])
def test_names_of_others_are_left_as_they_are(name: str) -> None:
    """A record that another program submitted has its own name, and the place it stands at."""
    [outcome] = outcomes([{"_id": name}], [30])
    assert (outcome.index, outcome.image.id) == (30, name)
    assert outcome.ok
    assert outcome.record.id == name


@pytest.mark.parametrize("row", [{}, {"_id": None}, {"_id": 7}, {"_id": {}}, None, "row", 7, []])
def test_records_without_a_name_stand_for_their_places(row: Any) -> None:
    """Where a record tells nothing, its place among the others is its image's."""
    assert [outcome.index for outcome in outcomes([row] * 3, [4, 7, 9])] == [4, 7, 9]
    assert [outcome.index for outcome in outcomes([row] * 3, range(20, 30))] == [20, 21, 22]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_records_that_cannot_be_told_apart_are_not_guessed_at(count: int) -> None:
    """Where one is missing or too many, no image gets another's text."""
    with pytest.raises(ReplyError, match="are whose cannot be told"):
        outcomes([{}] * count, [4, 7, 9])


def test_a_record_without_a_name_beside_others_is_left_out() -> None:
    """Where some tell their places, the others may be anything; and a place is taken once."""
    ours = [{"_id": make_id(place, None)} for place in (9, 4, 9)]
    assert [o.index for o in outcomes([{}, *ours, None], [4, 7, 9])] == [9, 4]


def test_no_request_has_more_records_than_were_submitted() -> None:
    """A delivery of a million rows is not looked at."""
    with pytest.raises(ReplyError, match="has 11 records"):
        outcomes([{}] * 11, range(10))
    with pytest.raises(ReplyError, match="has 0 records"):
        outcomes([], range(10))


def test_a_record_may_have_failed() -> None:
    """A request that is done may hold records that are not read; each says why."""
    good, bad = outcomes(
        [{"_url": "https://x.example/1"}, {"_status": {"code": 500, "text": "x"}}], range(10)
    )
    assert good.image.source == "https://x.example/1"
    assert good.ok
    assert good.record.status.request_id == "r1"
    assert not bad.ok
    assert isinstance(bad.error, ServiceUnavailable)
    assert bad.error.request_id == "r1"
    assert bad.attempts == 1


def test_a_record_that_makes_no_sense_says_where_it_stands() -> None:
    """The message has its address."""
    _, bad = outcomes([{}, {"_ocr": 7}], range(10))
    assert not bad.ok
    assert bad.maybe_billed
    assert "$.response.records[1]" in str(bad.error)


@pytest.mark.parametrize(
    "answer", [{}, {"response": None}, {"response": []}, {"response": {"records": {}}}]
)
def test_a_request_that_is_done_has_records(answer: dict[str, Any]) -> None:
    """Without them it makes no sense."""
    with pytest.raises(ReplyError, match="request r1 is done and has no records"):
        decoded(answer, ())


# ---- submissions


def submitted(document: Any, status: int = 201) -> list[str]:
    """Decode the answer to a submission of two images."""
    response = Response(status, json.dumps(document).encode())
    return SubmitRequest("read", "en").decode(response, ["a", "b"], Echo())


@pytest.mark.parametrize("request_id", ["r1", 7])
def test_a_submission_is_known_by_its_request(request_id: Any) -> None:
    """Each image gets the id of the asynchronous request."""
    assert submitted({"id": request_id, "status": "CREATED"}) == [str(request_id)] * 2


@pytest.mark.parametrize(
    "request_id",
    [
        *(True, False, 1.5, -1, 10**250, "a" * 201, ".", "..", "a b", "a\nb", "\t", "-r1", "@r1"),
        *("\u00a0a", "\ud800", "\x1b[31m", "\u202e", {}, {"id": "r1"}),
    ],
)
def test_an_id_that_names_no_request_is_an_error(request_id: Any) -> None:
    """What cannot be asked after, or would be an option or two lines elsewhere, is no id."""
    with pytest.raises(ReplyError, match="does not name the asynchronous request"):
        submitted({"id": request_id, "status": "CREATED"})


@pytest.mark.parametrize("document", [{}, {"id": ""}, {"id": None}, {"id": []}, [], "r1", None])
def test_a_submission_without_a_name_is_an_error(document: Any) -> None:
    """What cannot be asked after may have been taken all the same."""
    with pytest.raises(ReplyError):
        submitted(document)


@pytest.mark.parametrize(
    "status, document, cls",
    [
        (403, {"detail": "no"}, AuthError),
        (503, {"detail": "later"}, ServiceUnavailable),
        (504, {"detail": "late"}, ReplyLost),
        (500, {"detail": "late"}, ReplyLost),
        (200, {"status": {"code": 503}}, ServiceUnavailable),
    ],
)
def test_a_submission_may_be_refused(status: int, document: Any, cls: type[OCRError]) -> None:
    """It fails as any request does."""
    with pytest.raises(cls):
        submitted(document, status)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"type": ""}, "type is ''"),
        ({"type": None}, "type is None"),
        ({"endpoint": 7}, "endpoint is 7"),
        ({"webhook": "https://me.example"}, "webhook is a str, expected a Webhook or"),
    ],
)
def test_a_submissions_options_are_checked(options: Any, told: str) -> None:
    """What makes no sense is an error before anything is sent."""
    with pytest.raises(OptionError, match=told):
        SubmitRequest(**{"endpoint": "read", "lang": "en"} | options)


def test_a_submission_names_its_webhook() -> None:
    """The service is told where to post to, and what to bring."""
    hook = Webhook("https://me.example/hook", {"X-Secret": "open"})
    told = {"endpoint": "https://me.example/hook", "headers": {"X-Secret": "open"}}
    fields = {"type": "ocr", "endpoint": "read", "lang": "en"}
    assert SubmitRequest("read", "en").fields == fields
    flows = SubmitRequest("read", "en", "flows", hook)
    assert flows.fields == fields | {"type": "flows", "webhook": told}


# ---- states


@pytest.mark.parametrize("state", ["CREATED", "PROCESSING", "RETRY", "DONE", "LATER", "", 7, None])
def test_any_other_state_is_no_bad_end(state: Any) -> None:
    """What is not known to be the end may go on."""
    assert bad_end(document({"status": state}), "r1") is None
    assert state_of(document({"status": state})) == (state if isinstance(state, str) else "")


@pytest.mark.parametrize(
    "state, told",
    [
        ("FAILED", "it failed as often as the service tried"),
        ("API_LIMIT_EXCEEDED", "too many requests, or not enough credits"),
        ("NOT_SUPPORTED", "try submit(type=, endpoint=)"),
    ],
)
def test_a_bad_end_says_what_it_means(state: str, told: str) -> None:
    """The message has the state, the service's own words, and what to try."""
    error = bad_end(document({"status": state, "detail": "by the cat"}), "r1")
    assert isinstance(error, JobFailed)
    assert f"asynchronous request r1 ended as {state} (by the cat): {told}" in str(error)
    assert error.request_id == "r1"
    assert "(" not in str(bad_end(document({"status": "FAILED", "detail": 7}), "r1"))


# ---- paths and pages


@given(ANY_TEXT)
def test_a_request_is_one_step_of_its_path(request_id: str) -> None:
    """No name, whoever made it, leads anywhere else."""
    path = path_of(request_id)
    assert re.fullmatch(r"[\w.~%-]*", path.removeprefix(REQUESTS), re.ASCII)
    assert unquote(path.removeprefix(REQUESTS), errors="surrogatepass") == request_id


def test_a_page_is_asked_for_as_it_is_filtered() -> None:
    """What is not asked for is not in the query."""
    assert page_path(status=None, type=None) == "/account/v2/request/?page=1"
    asked = page_path(status="DONE", type="a b&\ud800")
    assert asked == "/account/v2/request/?page=1&status=DONE&type=a+b%26%ED%A0%80"


@pytest.mark.parametrize(
    "link, path",
    [
        (None, None),
        ("", None),
        ("https://api.ximilar.com/account/v2/request/?page=2", "?page=2"),
        ("http://api.ximilar.com/account/v2/request/?page=2&type=ocr", "?page=2&type=ocr"),
        ("http://localhost/api/account/v2/request/?page=2", "?page=2"),
        ("https://evil.example/steal?page=2#x", "?page=2"),
        ("/account/v2/request/?page=2", "?page=2"),
        ("?page=a b", "?page=a b"),
        ("?page=é茶🍵", "?page=é茶🍵"),
    ],
)
def test_only_the_query_of_a_link_is_followed(link: str | None, path: str | None) -> None:
    """The token goes to the service, wherever a link may lead."""
    rows, following = decode_page(document({"results": [], "next": link}))
    assert rows == []
    assert following == (path and REQUESTS + path)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": {}},
        {"results": [], "next": 2},
        {"results": [7]},
        {"results": [{"id": {}}]},
        {"results": [], "next": "http://[/?page=2"},
        {"results": [], "next": "?page=\x00"},
        {"results": [], "next": "?page=\x7f"},
        {"results": [], "next": "?page=\ud800"},
    ],
)
def test_what_is_no_page_is_an_error(answer: dict[str, Any]) -> None:
    """It makes no sense, and nothing is followed."""
    with pytest.raises(ReplyError):
        decode_page(document(answer))


def test_a_page_with_a_garbled_row_is_an_error() -> None:
    """No row is left out in silence."""
    with pytest.raises(ReplyError, match="not a page"):
        decode_page(Document.of(b'{"results": [{"id": "r1"}, what]}'))


@given(ANY_TEXT)
def test_any_link_is_followed_to_the_list_or_not_at_all(link: str) -> None:
    """Nothing that a service can say leads away, or raises anything else."""
    try:
        _, following = decode_page(document({"results": [], "next": link}))
    except ReplyError:
        return
    assert following is None or following.startswith(f"{REQUESTS}?")


def test_a_row_tells_of_a_request() -> None:
    """What the service says more is kept."""
    row = {"id": "r1", "status": "DONE", "type": "ocr", "created": "2022-03-02T13:38:22.784359Z"}
    [[info], _] = decode_page(document({"results": [{**row, "workspace": "w"}]}))
    assert (info.id, info.status, info.type) == ("r1", "DONE", "ocr")
    assert info.created == datetime(2022, 3, 2, 13, 38, 22, 784359, tzinfo=UTC)
    assert info.extra == {"workspace": "w"}


MOMENT = datetime(2022, 3, 2, 13, 38, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "created",
    [
        1646228302,
        1646228302.0,
        1646228302000,
        1646228302000.0,
        1646228302000000,
        1646228302000000000,
        "1646228302",
        " 1646228302.0 ",
        "1646228302000",
        "2022-03-02T13:38:22Z",
        "2022-03-02 14:38:22+01:00",
        "20220302T133822Z",
    ],
)
def test_times_in_numbers_are_kept(created: Any) -> None:
    """A moment is understood as ISO 8601, and in seconds, milliseconds and less since 1970."""
    rows, _ = decode_page(document({"results": [{"id": "r1", "created": created}]}))
    assert [(row.created, dict(row.extra)) for row in rows] == [(MOMENT, {})]
    info = decode_info(document({"id": "r1", "created": created}), "r1")
    assert info.created == MOMENT


def test_no_part_of_a_second_is_lost() -> None:
    """Microseconds stay, and a time before 1973 is one in seconds."""
    for created, told in (
        (1646228302784, MOMENT.replace(microsecond=784000)),
        (1646228302.784359, MOMENT.replace(microsecond=784359)),
        ("1646228302784359", MOMENT.replace(microsecond=784359)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ):
        assert decode_info(document({"id": "r1", "created": created}), "r1").created == told


def test_times_beside_that_of_creation_stay_as_they_are() -> None:
    """What the class does not know, such as when a request finished, is kept with its number."""
    given = {"id": "r1", "finished": 1646228302, "started": 1.5}
    assert decode_info(document(given), "r1").extra == {"finished": 1646228302, "started": 1.5}


@pytest.mark.parametrize(
    "created", [True, "yesterday", [], {}, "", 10**30, 1e300, "20220302133822", "1e9"]
)
def test_one_odd_time_hides_no_list(created: Any) -> None:
    """A row whose time makes no sense is listed without it, and what was told is kept."""
    rows, _ = decode_page(document({"results": [{"id": "r1", "created": created}, {"id": "r2"}]}))
    assert [(row.id, row.status, row.created) for row in rows] == [
        ("r1", "", None),
        ("r2", "", None),
    ]
    assert rows[0].extra == {"created": created}
    assert to_dict(rows[0])["created"] == created
