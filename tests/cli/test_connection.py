"""How the command line reaches the service: addresses, certificates, proxies and time limits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_jobs import NOBODY
from tests.cli.test_webhook import HEADERS, deliver, receiving, stop
from tests.command_line import CLI, write
from tests.faults.certificates import ANOTHER, OURS, authority
from tests.loopback import Site
from tests.relays import PASSWORD, beside, proxy, secured
from ximilar_ocr_async.emulator.callers import Callers
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service

TOKEN = "t0ken-of-a-test"

REVOCATIONS = """-----BEGIN X509 CRL-----
MIHHMG8CAQEwCgYIKoZIzj0EAwIwQDEXMBUGA1UECgwOdHJ1c3RtZSB2MS4yLjEx
JTAjBgNVBAsMHFRlc3RpbmcgQ0EgI200RmRtMmhTc1BwTVFqVnMXDTI2MTEyNjIy
NDUyOFoXDTI2MTEyNzIyNDUyOFowCgYIKoZIzj0EAwIDSAAwRQIhANNUr4vGqN41
wQSed7edZhlOvFyXWZquXIBEhkUgSD0sAiB5AwbotND2U4qoSLgHf1rjgPw3G10q
wcbQ1JJrkNiJ5Q==
-----END X509 CRL-----
"""
"""A file of PEM that OpenSSL loads and that has no certificate."""

SEEN = (
    "ximilar-ocr: others on this machine can see the secret in --proxy; "
    "set HTTPS_PROXY in its place\n"
)

COMMANDS = [
    ["read", "a.jpg"],
    ["extract", "a.jpg", "--fields", "due: date"],
    ["account"],
    ["jobs", "submit", "a.jpg"],
    ["jobs", "list"],
    ["jobs", "show", NOBODY],
    ["jobs", "wait", NOBODY],
    ["webhook", "--port", "0", "--verify", "refetch"],
]
"""All commands that ask the service."""


@pytest.fixture(autouse=True)
def folder(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in a folder with an image and certificates, with a token and no proxy."""
    names = ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
    for name in (*names, *map(str.lower, names[:3])):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XIMILAR_API_TOKEN", TOKEN)
    write("a.jpg")
    for name in (OURS, ANOTHER):
        authority(name).cert_pem.write_to_path(f"{name}.pem")
    return empty_folder


@pytest.fixture
def plain() -> Iterator[str]:
    """Serve over plain HTTP; yield where."""
    service = Service(ScriptedEngine("what stands there"), gpt=ScriptedGPT("{}"))
    with serving(service, Callers(["ocr.example"])) as url:
        yield url


# --- Certificates


def test_a_private_authority_is_trusted_by_its_file(cli: CLI, plain: str) -> None:
    """With --ca-file an image is read from a service whose certificate nobody else knows."""
    with beside(secured(plain)) as url:
        ran = cli("read", "a.jpg", "--base-url", url, "--ca-file", "ours.pem", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "what stands there\n", "")


def test_a_private_authority_is_trusted_by_the_environment(
    cli: CLI, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE does the same, and --ca-file goes before it."""
    monkeypatch.setenv("SSL_CERT_FILE", "ours.pem")
    with beside(secured(plain)) as url:
        ran = cli("account", "--base-url", url)
        other = cli("account", "--base-url", url, "--ca-file", "another.pem")
    assert (ran.code, ran.err) == (0, "")
    assert (other.code, other.out, other.err.count("\n")) == (2, "", 1)
    assert "certificate verify failed" in other.err


def test_no_other_authority_is_trusted_with_a_file(cli: CLI, plain: str) -> None:
    """A certificate that the file does not cover fails the image, and the cause is named."""
    with beside(secured(plain)) as url:
        ran = cli("read", "a.jpg", "--base-url", url, "--ca-file", "another.pem", "--quiet")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "certificate verify failed" in ran.err


# --- Proxies


def test_a_proxy_opens_a_tunnel_and_sees_no_token(cli: CLI, plain: str) -> None:
    """With --proxy an image is read by a name that only the proxy knows, and in secret from it."""
    with (
        beside(secured(plain, "ocr.example")) as url,
        beside(proxy(url)) as gate,
    ):
        way = ["--base-url", url, "--ca-file", "ours.pem", "--proxy", gate.url]
        ran = cli("read", "a.jpg", "--quiet", *way)
    [head] = gate.heads
    assert (ran.code, ran.out, ran.err) == (0, "what stands there\n", SEEN)
    assert head.startswith(b"CONNECT ocr.example:")
    assert gate.carried
    assert TOKEN.encode() not in head + gate.carried


def test_a_password_in_the_environment_is_seen_by_nobody(
    cli: CLI, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy with a password in HTTPS_PROXY is used without a warning, and shown nowhere."""
    with (
        beside(secured(plain, "ocr.example")) as url,
        beside(proxy(url)) as gate,
    ):
        monkeypatch.setenv("HTTPS_PROXY", gate.url)
        ran = cli("read", "a.jpg", "--quiet", "--base-url", url, "--ca-file", "ours.pem")
    assert (ran.code, ran.out, ran.err) == (0, "what stands there\n", "")
    assert len(gate.heads) == 1


def test_a_proxy_that_refuses_is_told_without_the_password(cli: CLI) -> None:
    """Another password exits with 2 and a line with the proxy's reason, after the warning."""
    with beside(proxy("https://127.0.0.1:1")) as gate:
        url = gate.url.replace("user", "other")
        ran = cli("account", "--base-url", "https://ocr.example", "--proxy", url)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 2)
    assert ran.err.startswith(SEEN)
    assert "407" in ran.err
    assert PASSWORD not in ran.err
    assert "%2F" not in ran.err


# --- All commands


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--ca-file", "missing.pem", "is 'missing.pem', which cannot be read: No such file or di"),
        ("--ca-file", ".", "is '.', which cannot be read: Is a directory"),
        ("--ca-file", "a.jpg", "is 'a.jpg', expected a PEM file with certificates"),
        ("--ca-file", "crl.pem", "is 'crl.pem', expected a PEM file with certificates"),
        ("--proxy", "ftp://user:s3cret@host", "has the scheme 'ftp', expected a URL such as http:"),
        ("--proxy", "http://user:s3cret/@host", "is not a URL, expected a URL such as http://HOST"),
        ("--proxy", "s3cret:@host", "is not a URL, expected a URL such as http://HOST:PORT, with "),
        ("--base-url", "http://example.com", "is 'http://example.com', plain http is allowed only"),
        ("--base-url", "https://user:s3cret/@host", "is not a URL, expected https://HOST"),
        ("--base-url", "", "is not a URL, expected https://HOST"),
        ("--timeout", "0", "is 0.0, expected a number of at least 0.001"),
        ("--timeout", "nan", "is nan, expected a number of at least 0.001"),
        ("--deadline", "-1", "is -1.0, expected a number of at least 0.0"),
        ("--deadline", "inf", "is inf, expected a number of at least 0.0"),
    ],
)
def test_wrong_values_are_told(cli: CLI, option: str, value: str, message: str) -> None:
    """Each command exits with 2 and one line that names option, value and limit, but no secret."""
    Path("crl.pem").write_text(REVOCATIONS)
    for words in COMMANDS:
        ran = cli(*words, option, value)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert ran.err.startswith(f"ximilar-ocr: {option} {message}")
        assert "s3cret" not in ran.err


@pytest.mark.parametrize("option", ["--timeout", "--deadline"])
def test_times_that_are_no_numbers_are_told(cli: CLI, option: str) -> None:
    """Words where a number is expected exit with 2, and option and value are named."""
    for words in COMMANDS:
        ran = cli(*words, option, "many")
        assert (ran.code, ran.out) == (2, "")
        assert f'{option}: unable to convert "many"' in ran.err


@pytest.mark.parametrize("option", [["--proxi", "s3cret"], ["--proxi=s3cret"]])
def test_a_misspelt_option_is_told_without_its_value(cli: CLI, option: list[str]) -> None:
    """What may be the password of a proxy is not shown, whatever the option is called."""
    for words in COMMANDS:
        ran = cli(*words, *option)
        assert (ran.code, ran.out) == (2, "")
        assert "--proxi" in ran.err
        assert "s3cret" not in ran.err


@pytest.mark.parametrize("words", COMMANDS[:-1], ids=" ".join)
def test_every_command_goes_where_it_is_told(
    cli: CLI, plain: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of the command line goes before that of the environment."""
    with Site(None).open() as elsewhere:
        monkeypatch.setenv("XIMILAR_BASE_URL", elsewhere.url())
        ran = cli(*words, "--base-url", plain)
    # There is no such job and no such answer, which the service itself has to say.
    is_found = words[-1] not in {NOBODY, "due: date"}
    assert (ran.code, elsewhere.connections) == (0 if is_found else 1, 0)


@pytest.mark.parametrize("words", COMMANDS[:-1], ids=" ".join)
def test_every_command_ends_at_its_deadline(cli: CLI, words: list[str]) -> None:
    """A service that says nothing is waited for until then, and that is told."""
    with Site(None).open() as silent:
        ran = cli(*words, "--base-url", f"http://127.0.0.1:{silent.port}", "--deadline", "0.3")
    assert ran.code == (2 if words == ["account"] else 1)
    told = ("the deadline passed", "was not answered within", "are not done after 0.3 s")
    assert any(words in ran.err for words in told)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_a_group_about_the_connection(cli: CLI, words: list[str]) -> None:
    """Each command explains the options of its connection together, after its own."""
    own, _, shared = cli(*words, "--help").out.partition("─ Connection ─")
    for option in ("--base-url", "--ca-file", "--proxy", "--timeout", "--deadline"):
        assert (option in own, option in shared) == (False, True)


def test_a_request_ends_at_its_timeout(cli: CLI) -> None:
    """With --timeout a request to a service that says nothing is given up, and that is told."""
    with Site(None).open() as silent:
        way = ["--base-url", f"http://127.0.0.1:{silent.port}", "--timeout", "0.1"]
        [line] = cli("read", "a.jpg", "--format", "jsonl", *way).lines
    assert line["error"]["type"] == "RequestTimeout"
    assert "within 0.1 s" in line["error"]["message"]
    assert line["maybe_billed"]


# --- Where there is no service to be reached


@pytest.mark.parametrize(
    "words, unused",
    [
        (["--base-url", "http://127.0.0.1:1"], "--base-url"),
        (["--proxy", "http://127.0.0.1:1", "--ca-file", "ours.pem"], "--ca-file, --proxy"),
    ],
)
def test_reading_on_this_machine_takes_no_way_to_the_service(
    cli: CLI, words: list[str], unused: str
) -> None:
    """What would have no meaning with --local exits with 2 and is named."""
    ran = cli("read", "a.jpg", "--local", *words)
    told = f"ximilar-ocr: --local reads on this machine: leave out {unused}\n"
    assert (ran.code, ran.out, ran.err) == (2, "", told)


def test_a_receiver_that_trusts_its_secret_reaches_no_service(cli: CLI) -> None:
    """An option of the connection that would have no meaning exits with 2 and is named."""
    ran = cli("webhook", "--port", "0", "--ca-file", "ours.pem")
    told = "ximilar-ocr: --ca-file goes with --verify refetch\n"
    assert (ran.code, ran.out, ran.err) == (2, "", told)


def test_a_receiver_fetches_where_and_for_as_long_as_it_is_told() -> None:
    """Results that do not come by the deadline are told of, and the delivery is refused."""
    with Site(None).open() as silent:
        way = ["--base-url", f"http://127.0.0.1:{silent.port}", "--deadline", "0.2"]
        with receiving("--verify", "refetch", *way) as (process, url):
            code = deliver(url, HEADERS, id="x").status_code
            ended = stop(process)
    assert (code, ended[:2]) == (503, (0, ""))
    assert "not done after 0.2 s" in ended[2]
