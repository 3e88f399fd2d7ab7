"""The watch over tracebacks and logs finds a token where there is one."""

import logging

import pytest

from tests.leaks import Watch


def test_a_token_in_a_frame_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header in a local of code that is no test, in what led to an error, is told."""
    monkeypatch.setattr("tests.leaks.TESTS", "nowhere")
    watch = Watch()

    def send(headers: dict[str, str]) -> None:
        raise ValueError(len(headers))

    with watch.raises(RuntimeError):
        try:
            send({"Authorization": "Token abc"})
        except ValueError as error:
            raise RuntimeError from error
    assert "headers in send" in "".join(watch.found)


@pytest.mark.parametrize(
    "shown",
    [
        "Proxy-Authorization: Basic dXNlcg==",
        {"proxy": "http://user:word@proxy.example"},
        [(b"authorization", b"Token abc")],
        {"X-Webhook-Secret": "s3cret"},
    ],
)
def test_secrets_of_each_kind_are_found(shown: object) -> None:
    """A password of a proxy and a secret of a webhook are told of like a token."""
    watch = Watch()
    watch.emit(logging.makeLogRecord({"msg": "%s", "args": (repr(shown),)}))
    assert len(watch.found) == 1


@pytest.mark.parametrize("shown", ["https://***@me.example", "http://me.example:80/a@b", "a:b@c"])
def test_what_shows_no_secret_is_not_found(shown: str) -> None:
    """A password that is hidden, a port and an address of mail are none."""
    watch = Watch()
    watch.emit(logging.makeLogRecord({"msg": shown}))
    assert watch.found == []


def test_a_token_in_a_log_is_found() -> None:
    """Words that are logged are looked into, and exceptions logged with them."""
    watch = Watch()
    watch.emit(logging.makeLogRecord({"msg": "authorization: Token %s", "args": ("abc",)}))
    error = ValueError("authorization: Token abc")
    watch.emit(logging.makeLogRecord({"msg": "", "exc_info": (ValueError, error, None)}))
    assert len(watch.found) == 2
