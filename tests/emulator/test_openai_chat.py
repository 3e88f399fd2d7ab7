"""Language models: a prompt and a text in, an answer out, or the reason why there is none."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loopback import Site, answer
from ximilar_ocr_async import OptionError
from ximilar_ocr_async.emulator.openai_chat import MAX_BYTES, OpenAIChat
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.scripted_gpt import GPT, ScriptedGPT

PROMPT, TEXT = "what is it?", "BASIC MewV"


@pytest.fixture
def anyio_backend() -> str:
    """Run in real time, for sockets know no other."""
    return "asyncio"


Open: TypeAlias = Callable[[bytes | None], Site]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open sites until the test ends."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(Site(answer).open())


def completion(content: Any) -> bytes:
    """Return a chat completion with this *content*."""
    message = {"role": "assistant", "content": content}
    return answer(json.dumps({"choices": [{"index": 0, "message": message}]}).encode())


async def refused(gpt: GPT) -> tuple[int, str]:
    """Return code and words with which *gpt* refuses."""
    with pytest.raises(Unreadable) as caught:
        await gpt.answer(PROMPT, TEXT)
    return caught.value.code, caught.value.text


# --- Scripted


@given(prompt=st.text(), text=st.text())
def test_an_untold_script_says_that_it_is_one(prompt: str, text: str) -> None:
    """Nobody takes the answer for a language model's."""
    told = json.loads(anyio.run(ScriptedGPT().answer, prompt, text))
    assert told == {
        "scripted": True,
        "note": "no language model was asked",
        "prompt": prompt,
        "text": text,
    }


@pytest.mark.anyio
async def test_a_script_answers_as_it_was_told() -> None:
    """Answers go by prompt, by a function, or are one for all."""
    assert await ScriptedGPT({PROMPT: "a card"}).answer(PROMPT, TEXT) == "a card"
    assert await ScriptedGPT(lambda prompt, text: prompt + text).answer("a", "b") == "ab"
    assert await ScriptedGPT("all").answer(PROMPT, TEXT) == "all"


@pytest.mark.anyio
async def test_a_prompt_that_is_not_in_the_script_fails() -> None:
    """A script of some prompts does not answer others."""
    assert await refused(ScriptedGPT({"else": "x"})) == (
        422,
        "the script has no answer to the prompt",
    )


# --- OpenAI's protocol


@pytest.mark.anyio
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_model_is_asked_by_openais_protocol(opened: Open, slash: str) -> None:
    """The model hears the service's own full prompt, and its answer comes back as it is."""
    site = opened(completion("a card\n"))
    gpt = OpenAIChat(f"http://127.0.0.1:{site.port}/v1{slash}", "tiny", key="sk-secret")
    assert await gpt.answer(PROMPT, TEXT) == "a card\n"
    [asked] = site.asked
    head, _, body = asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Authorization: Bearer sk-secret\r\n" in head
    content = "Instruction: what is it? \nInput: BASIC MewV \nResult:"
    assert json.loads(body) == {
        "model": "tiny",
        "messages": [{"role": "user", "content": content}],
    }


@pytest.mark.anyio
async def test_without_a_key_none_is_sent(opened: Open) -> None:
    """A server that needs no key gets none."""
    site = opened(completion("hello"))
    assert await OpenAIChat(f"http://localhost:{site.port}", "tiny").answer(PROMPT, TEXT) == "hello"
    assert b"authorization" not in site.asked[0].lower()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "given, text",
    [
        (answer(b'{"error": "bad key sk-secret"}', "401 Unauthorized"), "the URL returned 401"),
        (answer(b"", "302 Found"), "the URL returned 302"),
        (answer(b"x" * (MAX_BYTES + 1)), "the response is over 1,048,576 bytes"),
        (b"garbage\r\n\r\n", "the request to the URL failed: RemoteProtocolError"),
        (None, "the URL did not respond within 0.5 s"),
    ],
)
async def test_trouble_with_the_model_fails_the_record(
    opened: Open, given: bytes | None, text: str
) -> None:
    """Whatever goes wrong is a bad gateway's failure, which shows neither key nor answer."""
    gpt = OpenAIChat(f"http://127.0.0.1:{opened(given).port}", "tiny", "sk-secret", timeout=0.5)
    assert await refused(gpt) == (502, f"the language model: {text}")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"{}", b'{"choices": []}', b'{"choices": 1}', b"[" * 100_000]
    + [b'{"choices": [{"message": {"content": %s}}]}' % content for content in (b"null", b"[1]")],
)
async def test_an_answer_that_is_none_fails_the_record(opened: Open, body: bytes) -> None:
    """What is no chat completion with a text is told so."""
    gpt = OpenAIChat(f"http://127.0.0.1:{opened(answer(body)).port}", "tiny")
    assert await refused(gpt) == (502, "the language model: the response is not a chat completion")


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["sk-\n", "sk-é"])
async def test_a_key_that_cannot_be_sent_is_not_shown(opened: Open, key: str) -> None:
    """A key that no header can hold fails the record."""
    code, text = await refused(OpenAIChat(f"http://127.0.0.1:{opened(b'').port}", "tiny", key))
    assert code == 502
    assert "sk-" not in text


def test_the_key_is_not_shown() -> None:
    """What is printed of a model holds its address and name, and no key."""
    shown = repr(OpenAIChat("https://llm.example/v1", "tiny", "sk-secret"))
    assert "https://llm.example/v1" in shown
    assert "secret" not in shown


@pytest.mark.parametrize("url", ["", "llm.example", "ftp://llm.example", "http://llm.example/v1"])
def test_a_model_is_asked_on_this_machine_or_by_https(url: str) -> None:
    """A key would be read by all on the way of plain http."""
    with pytest.raises(OptionError):
        OpenAIChat(url, "tiny")
