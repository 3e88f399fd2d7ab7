"""``ximilar-ocr serve``: options in, the local service on a loopback port out."""

import os
import sys
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from ximilar_ocr_async import OptionError
from ximilar_ocr_async.cli.console import SUCCESS, USAGE, harmless, report_error
from ximilar_ocr_async.cli.interrupts import interrupts
from ximilar_ocr_async.emulator import Callers, Delivery, Fetch, OpenAIChat
from ximilar_ocr_async.testing.service import GPT, FaultPlan, Jobs, ScriptedGPT, Service

GPT_KEY = "OPENAI_API_KEY"
"""Environment variable with the API key of the language model's server."""

Names: TypeAlias = Annotated[list[str] | None, Parameter(negative="")]


def serve(
    *,
    port: int = 8000,
    allow_host: Names = None,
    allow_urls: bool = False,
    allow_private_urls: bool = False,
    gpt_url: str | None = None,
    gpt_model: str | None = None,
    scripted_gpt: bool = False,
    faults: Path | None = None,
) -> int:
    """Serve a local imitation of Ximilar's OCR service, with the OCR engines installed here.

    Parameters
    ----------
    port
        Port on 127.0.0.1. 0 takes a free one.
    allow_host
        Name of this machine, besides localhost, under which requests may come. It can be given more
        than once.
    allow_urls
        Fetch images from public addresses, and deliver webhooks there. Webhooks to this machine
        are always delivered.
    allow_private_urls
        Also allow loopback and private addresses.
    gpt_url
        URL of a server that answers prompts and speaks OpenAI's protocol, without
        /chat/completions. If it needs an API key, set OPENAI_API_KEY.
    gpt_model
        Name of the language model on that server.
    scripted_gpt
        Answer prompts with a fixed script, without a language model. The answers say so.
    faults
        TOML file that plans faults. The same faults are shown each time.
    """
    interrupts.leave_to_server()
    try:
        # Imported here because the extra may not be installed.
        from ximilar_ocr_async.emulator import LocalEngine, bind, serve_until_interrupted  # noqa: PLC0415

        plan = FaultPlan() if faults is None else FaultPlan.load(faults)
        gpt, notice = _choose_gpt(gpt_url, gpt_model, is_scripted=scripted_gpt)
        callers = _choose_callers(allow_host)
        listener, url = bind(port)
    except (ModuleNotFoundError, OptionError, OSError) as error:
        return report_error(_explain(error, port), USAGE)
    fetch = Fetch(allow_private=allow_private_urls) if allow_urls or allow_private_urls else None
    jobs = Jobs(Delivery(allow_public=allow_urls, allow_private=allow_private_urls))
    engine = LocalEngine()
    _announce(f"serving on {url}, reading {', '.join(sorted(engine.languages))}")
    if faults is not None:
        _announce(f"faults: {plan}")
    if gpt is not None:
        _announce(notice)
    service = Service(engine, fetch=fetch, gpt=gpt, faults=plan, jobs=jobs)
    serve_until_interrupted(service, listener, callers)
    return SUCCESS


def _announce(text: str) -> None:
    # Nobody needs to hear it.
    if sys.stdout is not None:
        with harmless(sys.stdout):
            print(text, flush=True)


def _explain(error: Exception, port: int) -> Exception:
    """Return *error* with a message that says which option or extra it concerns."""
    match error:
        case ModuleNotFoundError():
            extra = "pip install 'ximilar-ocr-async[local]'"
            return OptionError(f"serve needs {error.name}, from the extra local: {extra}")
        case OSError():
            return OptionError(f"cannot listen on port {port}: {error}")
    return error


def _choose_callers(names: list[str] | None) -> Callers:
    try:
        return Callers(names or ())
    except OptionError as error:
        raise OptionError(f"--allow-host: {error}") from None


def _choose_gpt(url: str | None, model: str | None, *, is_scripted: bool) -> tuple[GPT | None, str]:
    """Return the language model and a notice about it. None means that there is no model."""
    if is_scripted and (url or model):
        raise OptionError(
            "--scripted-gpt uses no language model: leave out --gpt-url and --gpt-model"
        )
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
