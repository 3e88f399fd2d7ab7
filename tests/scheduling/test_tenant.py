"""An account that is refused is asked once in a while, and another's refusals are not its own."""

from itertools import pairwise

import pytest

from tests.scheduling.making import make_tenant
from ximilar_ocr_async._scheduling.tenant import FORGOTTEN, GROWTH, LEAST, LONGEST, Tenant
from ximilar_ocr_async.errors import AddressError, AuthError, OCRError, ServiceUnavailable

NO = AuthError("401: no such token", status=401)
AWAY = ServiceUnavailable("503: down", status=503)


def refuse(tenant: Tenant, now: float, error: OCRError | None = NO, *, began: float = -1.0) -> None:
    """End a request about ``read`` with *error* *now* [s]; it began just then by default."""
    tenant.observe("read", error, began=now if began < 0 else began, now=now)


def refused_twice() -> Tenant:
    """Return an account that was refused at 10 s and at 11 s."""
    tenant = make_tenant()
    refuse(tenant, 10.0)
    refuse(tenant, 11.0)
    return tenant


def test_whoever_was_not_refused_may_ask() -> None:
    """At first, and after any answer."""
    tenant = refused_twice()
    refuse(tenant, 11.5, None)
    for asked in (make_tenant(), tenant):
        assert asked.refusal("read", object(), 11.5) is None
        assert asked.refusal("read", object(), 11.5) is None


@pytest.mark.parametrize("error", [NO, AddressError("no such name")])
def test_after_a_refusal_one_may_find_out(error: OCRError) -> None:
    """The others fail as it did until that is known."""
    tenant = make_tenant()
    refuse(tenant, 10.0, error)
    assert tenant.refusal("read", object(), 10.0) is None
    told = tenant.refusal("read", object(), 10.0)
    assert type(told) is type(error)
    assert str(told) == f"{error}; it is asked again in a few seconds"
    assert tenant.refusal("read", object(), 10.0 + LONGEST) is None, "it may have been withdrawn"


def test_after_the_second_refusal_calls_fail_for_a_while() -> None:
    """Then one more may find out."""
    tenant = refused_twice()
    assert tenant.refusal("read", object(), 11.0 + LEAST - 0.01)
    assert tenant.refusal("read", object(), 11.0 + LEAST) is None
    assert tenant.refusal("read", object(), 11.0 + LEAST)


def test_pauses_grow_up_to_a_few_seconds() -> None:
    """A plan that is upgraded works soon, however long it did not."""
    tenant, now, asked = refused_twice(), 11.0, [11.0]
    while now < 60.0:
        now += 0.01
        if tenant.refusal("read", object(), now) is None:
            asked.append(now)
            refuse(tenant, now)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[:2] == [pytest.approx(LEAST, abs=0.02), pytest.approx(LEAST * GROWTH, abs=0.02)]
    assert max(pauses) <= LONGEST + 0.02
    assert pauses == pytest.approx(sorted(pauses), abs=0.02)


def test_requests_that_were_under_way_tell_nothing_new() -> None:
    """Many that are refused at once are one refusal."""
    tenant = make_tenant()
    for _ in range(8):
        refuse(tenant, 10.0, began=9.0)
    assert tenant.refusal("read", object(), 10.0) is None


def test_what_is_no_word_about_the_account_lets_another_find_out() -> None:
    """An outage that meets the one that asks must not leave the others without an answer."""
    tenant = refused_twice()
    assert tenant.refusal("read", object(), 12.5) is None
    refuse(tenant, 12.6, AWAY, began=12.5)
    assert tenant.refusal("read", object(), 12.6) is None
    refuse(tenant, 12.7, AWAY, began=10.9)
    assert tenant.refusal("read", object(), 12.7), "what began before says nothing of now"


def test_an_error_without_a_refusal_is_none() -> None:
    """A service that is away has not refused the account."""
    tenant = make_tenant()
    refuse(tenant, 10.0, AWAY)
    assert tenant.refusal("read", object(), 10.0) is None
    assert tenant.refusal("read", object(), 10.0) is None


def test_a_refusal_is_of_one_endpoint_and_of_one_account() -> None:
    """A plan without the language model reads, and another account asks it."""
    tenant = refused_twice()
    assert tenant.refusal("read", object(), 11.1)
    assert tenant.refusal("read_gpt", object(), 11.1) is None
    assert make_tenant().refusal("read", object(), 11.1) is None


def test_all_of_the_call_that_asks_may_pass() -> None:
    """A call of many images is no call of one: what its first image finds out is for all."""
    tenant, call = refused_twice(), object()
    assert tenant.refusal("read", call, 12.5) is None
    assert tenant.refusal("read", call, 12.5) is None
    assert tenant.refusal("read", object(), 12.5)
    refuse(tenant, 12.6, began=12.5)
    assert tenant.refusal("read", call, 12.6)


def test_a_refusal_is_forgotten() -> None:
    """An hour later nothing is known of the account."""
    tenant = refused_twice()
    assert tenant.refusal("read", object(), 11.0 + FORGOTTEN + 1) is None
    assert tenant.refusal("read", object(), 11.0 + FORGOTTEN + 1) is None
