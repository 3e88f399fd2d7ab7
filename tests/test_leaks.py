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


def test_a_token_in_a_log_is_found() -> None:
    """Words that are logged are looked into, and exceptions logged with them."""
    watch = Watch()
    watch.emit(logging.makeLogRecord({"msg": "authorization: Token %s", "args": ("abc",)}))
    error = ValueError("authorization: Token abc")
    watch.emit(logging.makeLogRecord({"msg": "", "exc_info": (ValueError, error, None)}))
    assert len(watch.found) == 2
