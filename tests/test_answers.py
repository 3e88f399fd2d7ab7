"""What the benchmarks read is what the service documents."""

import json
from typing import Any

import pytest
from _lib.answers import Answers

from tests.protocol.replies import READ_GPT_REPLY, READ_REPLY


def paths(value: Any, path: str = "$") -> set[str]:
    """Return the path of each member, whatever stands around it in an array."""
    if isinstance(value, dict):
        return {path}.union(*(paths(v, f"{path}.{k}") for k, v in value.items()))
    if isinstance(value, list):
        return {path}.union(*(paths(item, f"{path}[]") for item in value))
    return {f"{path}: {type(value).__name__}"}


@pytest.mark.parametrize(
    "sample, answers",
    [(READ_REPLY, Answers(texts=20)), (READ_GPT_REPLY, Answers(texts=0, gpt=True))],
    ids=["read", "read_gpt"],
)
def test_answers_have_the_keys_of_the_samples(sample: bytes, answers: Answers) -> None:
    """The benchmarks' answers have each key of the documented sample, and no other."""
    assert paths(json.loads(answers.write([b"a", b"b"]))) == paths(json.loads(sample))


@pytest.mark.parametrize(
    "failing, unknown, read, odd", [(0, 0, 10, 0), (2, 0, 5, 0), (0, 10, 10, 1)]
)
def test_answers_have_the_share_that_was_asked_for(
    failing: int, unknown: int, read: int, odd: int
) -> None:
    """So many of ten records are failed, and so many have keys that nobody documents."""
    answer = Answers(texts=1, failing=failing, unknown=unknown).write(
        [b"%d" % n for n in range(10)]
    )
    rows = json.loads(answer)["records"]
    assert [row["_id"] for row in rows] == [str(n) for n in range(10)]
    assert sum(row["_status"]["code"] == 200 for row in rows) == read
    assert sum("page" in row for row in rows) == odd
