"""``ximilar-ocr serve``: the local service on a loopback port."""

import os
import sys
from pathlib import Path

from ximilar_ocr_async import OptionError
from ximilar_ocr_async.emulator import Delivery, Fetch, OpenAIChat
from ximilar_ocr_async.testing.service import GPT, FaultPlan, Jobs, ScriptedGPT

USAGE = 2

GPT_KEY = "OPENAI_API_KEY"
"""Variable that may hold the key of the language model's server."""


def serve(
    *,
    port: int = 8000,
    allow_urls: bool = False,
    allow_private_urls: bool = False,
    gpt_url: str | None = None,
    gpt_model: str | None = None,
    scripted_gpt: bool = False,
    faults: Path | None = None,
) -> int:
    """Serve Ximilar's OCR in miniature on this machine, with the OCR engines installed here.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes one that is free.
    allow_urls
        Fetch images given by URL, and deliver to webhooks, at public addresses. Webhooks on this
        machine are always delivered to.
    allow_private_urls
        Do so at loopback and private addresses too.
    gpt_url
        Where prompts are answered by OpenAI's protocol: what /chat/completions is added to. The
        key, if one is needed, is that in OPENAI_API_KEY.
    gpt_model
        The language model's name there.
    scripted_gpt
        Answer prompts by a script that says so, without a language model.
    faults
        TOML file with a plan of the faults to show, the same ones each time.
    """
    try:
        # Imported late: an extra, which may not be installed.
        from ximilar_ocr_async.emulator import LocalEngine, bind, serve_until_interrupted  # noqa: PLC0415
        from ximilar_ocr_async.testing.service import Service  # noqa: PLC0415

        plan = FaultPlan() if faults is None else FaultPlan.load(faults)
        gpt, told = _gpt(gpt_url, gpt_model, is_scripted=scripted_gpt)
        listener, url = bind(port)
    except (ModuleNotFoundError, OptionError, OSError) as error:
        sys.stderr.write(f"ximilar-ocr: {_reason(error, port)}\n")
        return USAGE
    fetch = Fetch(allow_private=allow_private_urls) if allow_urls or allow_private_urls else None
    jobs = Jobs(Delivery(allow_public=allow_urls, allow_private=allow_private_urls))
    engine = LocalEngine()
    print(f"serving on {url}, reading {', '.join(sorted(engine.languages))}", flush=True)
    if faults is not None:
        print(f"faults: {plan}", flush=True)
    if gpt is not None:
        print(told, flush=True)
    serve_until_interrupted(Service(engine, fetch=fetch, gpt=gpt, faults=plan, jobs=jobs), listener)
    return 0


def _reason(error: Exception, port: int) -> str:
    match error:
        case ModuleNotFoundError():
            extra = "pip install 'ximilar-ocr-async[local]'"
            return f"serve needs {error.name}, of the extra local: {extra}"
        case OSError():
            return f"cannot listen on port {port}: {error}"
    return str(error)


def _gpt(url: str | None, model: str | None, *, is_scripted: bool) -> tuple[GPT | None, str]:
    """Return what answers prompts, and what to say of it."""
    if is_scripted and (url or model):
        raise OptionError("--scripted-gpt asks no language model: leave out --gpt-url, --gpt-model")
    if is_scripted:
        return ScriptedGPT(), "GPT answers are SCRIPTED: no language model is asked"
    if url is None and model is None:
        return None, ""
    if not url or not model:
        raise OptionError("--gpt-url and --gpt-model go together")
    try:
        chat = OpenAIChat(url, model, os.environ.get(GPT_KEY))
    except OptionError as error:
        raise OptionError(f"--gpt-url: {error}") from None
    return chat, f"GPT answers come from {model} at {url}"
