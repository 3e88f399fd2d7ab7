"""``ximilar-ocr serve``: the local service on a loopback port."""

import sys
from pathlib import Path

from ximilar_ocr_async import OptionError
from ximilar_ocr_async.emulator.faults import FaultPlan

USAGE = 2


def serve(
    *,
    port: int = 8000,
    allow_urls: bool = False,
    allow_private_urls: bool = False,
    faults: Path | None = None,
) -> int:
    """Serve Ximilar's OCR in miniature on this machine, with the OCR engines installed here.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes one that is free.
    allow_urls
        Fetch images given by URL, from public addresses.
    allow_private_urls
        Fetch them from loopback and private addresses too.
    faults
        TOML file with a plan of the faults to show, the same ones each time.
    """
    try:
        # Imported late: an extra, which may not be installed.
        from ximilar_ocr_async.emulator import server  # noqa: PLC0415
        from ximilar_ocr_async.emulator.engines.local import LocalEngine  # noqa: PLC0415
        from ximilar_ocr_async.emulator.fetch import Fetch  # noqa: PLC0415
        from ximilar_ocr_async.emulator.service import Service  # noqa: PLC0415

        plan = FaultPlan() if faults is None else FaultPlan.load(faults)
        listener, url = server.bind(port)
    except ModuleNotFoundError as error:
        extra = "pip install 'ximilar-ocr-async[local]'"
        sys.stderr.write(f"ximilar-ocr: serve needs {error.name}, of the extra local: {extra}\n")
        return USAGE
    except OptionError as error:
        sys.stderr.write(f"ximilar-ocr: {error}\n")
        return USAGE
    except OSError as error:
        sys.stderr.write(f"ximilar-ocr: port {port} cannot be had: {error}\n")
        return USAGE
    fetch = Fetch(allow_private=allow_private_urls) if allow_urls or allow_private_urls else None
    engine = LocalEngine()
    print(f"serving on {url}, reading {', '.join(sorted(engine.languages))}", flush=True)
    if faults is not None:
        print(f"faults: {plan}", flush=True)
    server.serve(Service(engine, fetch=fetch, faults=plan), listener)
    return 0
