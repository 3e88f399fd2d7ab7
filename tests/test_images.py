"""Images are cheap handles whose bytes are read late, and only when they can be sent."""

import io
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._constants import IMAGE_FORMATS
from ximilar_ocr_async.errors import ImageError, OptionError
from ximilar_ocr_async.images import Image, check_source, examine, read_pieces, sniff


def _drawn(format_: str) -> bytes:
    """Draw a small picture in *format_*."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (9, 7), "teal").save(file, format_)
    return file.getvalue()


def _box(*brands: bytes, size: int | None = None) -> bytes:
    """Make the first box of an ISO media file, as cameras write it, and some of what follows."""
    content = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (size or 4 + len(content)).to_bytes(4, "big") + content + b"\x00\x00\x00\x08heic"


TAKEN = {
    **{format_: _drawn(format_) for format_ in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")},
    "HEIC": _box(b"heic", b"mif1", b"heic"),
}
REFUSED = {
    "AVIF": _box(b"avif", b"mif1", b"miaf"),
    "HEIF": _box(b"mif1", b"miaf"),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "JP2": b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 ",
    "PSD": b"8BPS\x00\x01" + bytes(20),
}

# ---- formats


@pytest.mark.parametrize("format_", [*TAKEN, *REFUSED])
def test_each_format_is_told_by_its_bytes(format_: str) -> None:
    """A format is told from its real first bytes, and taken where the service takes it."""
    head = (TAKEN | REFUSED)[format_]
    assert sniff(head) == format_
    assert (format_ in IMAGE_FORMATS) is (format_ in TAKEN)


@pytest.mark.parametrize(
    "head, format_",
    [
        (b"MM\x00*" + bytes(9), "TIFF"),
        (b"GIF87a" + bytes(9), "GIF"),
        (b"GIF89a" + bytes(9), "GIF"),
        (b"BM" + bytes(12) + b"\x0c\x00\x00\x00", "BMP"),
        (b"BM" + bytes(12) + b"\x7c\x00\x00\x00", "BMP"),
        (_box(b"mif1", b"heix", b"mif1"), "HEIC"),
        (_box(b"msf1", b"miaf", b"iso8", b"hevc"), "HEIC"),
        (_box(b"avis", b"heic"), "AVIF"),
        (_box(b"msf1"), "HEIF"),
        (_box(b"isom", b"mp42"), None),
        (_box(b"heic", size=0)[:8], None),
        (b"BMW is a maker of cars, not of bitmaps", None),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
    ],
)
def test_rarer_relatives_are_told_apart(head: bytes, format_: str | None) -> None:
    """Older headers, other brands and lookalikes are told apart."""
    assert sniff(head) == format_


@given(head=st.binary(max_size=64) | st.binary(max_size=56).map(lambda rest: b"\0\0\0 ftyp" + rest))
def test_any_bytes_are_a_known_format_or_none(head: bytes) -> None:
    """Telling a format never raises, whatever the bytes."""
    assert sniff(head) in {*TAKEN, *REFUSED, None}


# ---- loading


@pytest.mark.parametrize("format_", IMAGE_FORMATS)
def test_an_image_is_loaded_untouched(tmp_path: Path, format_: str) -> None:
    """What the service takes is loaded byte for byte, from bytes and from a file of any name."""
    data = TAKEN[format_]
    file = tmp_path / "scan.dat"
    file.write_bytes(data)
    for image in (Image(data), Image(file)):
        fingerprint = examine(image)
        assert fingerprint.size == len(data)
        assert b"".join(read_pieces(image, fingerprint, 7)) == data


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is empty"),
        (b"a secret letter", "is not an image"),
        (REFUSED["PDF"], "is PDF, allowed are JPEG, PNG, WEBP, HEIC, BMP, TIFF, GIF"),
    ],
)
def test_what_is_no_image_is_refused_by_its_content(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """A file that only claims to be an image is an error, which names it and shows none of it."""
    file = tmp_path / "claims-to-be.png"
    file.write_bytes(content)
    for source, name in ((file, str(file)), (content, f"<{len(content)} bytes>")):
        with pytest.raises(ImageError) as caught:
            examine(Image(source))
        assert str(caught.value) == f"{name} {reason}"


@pytest.mark.parametrize(
    "name, reason",
    [
        ("missing.png", "cannot be read: No such file or directory"),
        (".", "is not a file"),
        ("a\0b.png", "embedded null"),
        ("a" * 300, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """A path behind which no file can be read is an error that names the path and the reason."""
    with pytest.raises(ImageError) as caught:
        examine(Image(tmp_path / name))
    shown = str(tmp_path / name).replace("\0", "\\x00")
    assert str(caught.value).startswith(f"{shown} ")
    assert reason in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_refused(tmp_path: Path) -> None:
    """A file that may not be read is an error that says so."""
    file = tmp_path / "forbidden.png"
    file.write_bytes(TAKEN["PNG"])
    file.chmod(0)
    with pytest.raises(ImageError, match="cannot be read: Permission denied"):
        examine(Image(file))


def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    """A pipe that nobody writes to is refused instead of waited for."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match=r"pipe\.png is not a file"):
        examine(Image(pipe))


@pytest.mark.parametrize(
    "path, reason",
    [
        ("/dev/zero", "is not a file"),
        ("/dev/null", "is not a file"),
        ("/proc/self/environ", "is empty"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's files")
def test_what_the_system_makes_up_is_refused(path: str, reason: str) -> None:
    """Neither a device nor the environment is read."""
    with pytest.raises(ImageError) as caught:
        examine(Image(Path(path)))
    assert str(caught.value) == f"{path} {reason}"


class Exchanged(os.PathLike[str]):
    """A path behind which there is another file each time that it is looked at."""

    def __init__(self, *paths: Path) -> None:
        self.paths = iter(paths)

    def __fspath__(self) -> str:
        """Return the path."""
        return str(next(self.paths))


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """What took the place of a file after it was looked at is refused when it is open."""
    file, pipe = tmp_path / "a.png", tmp_path / "pipe.png"
    file.write_bytes(TAKEN["PNG"])
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match=r"pipe\.png is not a file"):
        examine(Image(Exchanged(file, pipe, pipe)))


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A file that was examined and is a pipe when it is read is an error."""
    file = tmp_path / "a.png"
    file.write_bytes(TAKEN["PNG"])
    image = Image(file)
    fingerprint = examine(image)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ImageError, match=r"a\.png is not a file"):
        next(read_pieces(image, fingerprint, 7))


def test_names_are_shown_in_one_line(tmp_path: Path) -> None:
    """A message about a file has its name without line breaks, and not all of a long one."""
    for name in ("a\nb\x1b[2J.png", "/".join(["x" * 200] * 9)):
        with pytest.raises(ImageError) as caught:
            examine(Image(tmp_path / name))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600


# ---- sources


@pytest.mark.parametrize(
    "source",
    [
        "https://images.example/a.png",
        "HTTP://images.example:8080/a b.png?x=1#y",
        "http://[::1]/a.png",
        "https://obrázky.example/č.png",
        Path("scan.png"),
        b"",
    ],
)
def test_sources_of_each_kind_pass(source: Any) -> None:
    """A URL, a path and bytes pass without anything being opened."""
    check_source(Image(source))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scan.png",
        "/etc/passwd",
        "C:\\scan.png",
        "//images.example/a.png",
        "ftp://images.example/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http://",
        "https:///a.png",
        "http://:80/a.png",
        "http://[::1/a.png",
        "http://images.example/a\n.png",
        "http://images.example/a\x00.png",
        "\thttp://images.example/a.png",
    ],
)
def test_text_that_is_no_url_is_refused(text: str) -> None:
    """Text never opens a file: unless it is an http(s) URL, the error points to Path."""
    with pytest.raises(ImageError) as caught:
        check_source(Image(text))
    assert str(caught.value) == f"{text!r} is not an http(s) URL; for a file pass a pathlib.Path"


@given(
    scheme=st.sampled_from(["http", "https"]),
    host=st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z]{2,5}){0,3}", fullmatch=True),
    path=st.text(st.characters(min_codepoint=0x20, exclude_categories=["C", "Z"])),
)
def test_any_http_url_passes(scheme: str, host: str, path: str) -> None:
    """An http(s) URL with a host passes whatever its path."""
    check_source(Image(f"{scheme}://{host}/{path}"))


@given(text=st.text() | st.text().map("http://".__add__))
def test_what_passes_is_http_and_printable(text: str) -> None:
    """Whatever the text, it is an image error unless it is printable and starts as http(s) do."""
    with suppress(ImageError):
        check_source(Image(text))
        assert text.lstrip().lower().startswith(("http://", "https://"))
        assert text.isprintable()


def test_long_text_is_told_in_few_words() -> None:
    """Text that is no URL is cut short in the message: it may be a whole file."""
    with pytest.raises(ImageError) as caught:
        check_source(Image("iVBORw0KGgo" * 1_000_000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("source", [None, 7, bytearray(b"x"), ["a.png"], io.BytesIO(b"x")])
def test_sources_of_other_types_are_refused(source: Any) -> None:
    """What is neither URL, path nor bytes is an error that names its type and the choice."""
    with pytest.raises(ImageError) as caught:
        check_source(Image(source))
    kind = type(source).__name__
    assert str(caught.value) == f"image is a {kind}, allowed are a URL, a Path, bytes and Image"


@pytest.mark.parametrize("id_", ["", "x" * 4097])
def test_an_id_has_a_length(id_: str) -> None:
    """An id that is empty or longer than any path is an error that says how long it may be."""
    with pytest.raises(ImageError) as caught:
        check_source(Image("https://x.example", id=id_))
    told = f"the id of an image has {len(id_):,} characters, expected 1 to 4,096 characters"
    assert str(caught.value) == told
    check_source(Image("https://x.example", id=id_[:4096] or None))


# ---- what an image says of itself


def test_big_images_are_told_in_few_words() -> None:
    """Neither repr nor name shows the bytes of an image, only how many they are."""
    image = Image(bytes(8_000_000), id="a")
    assert image.name == "<8,000,000 bytes>"
    assert len(repr(image)) < 200


@pytest.mark.parametrize(
    "source, name",
    [(Path("scans/a.png"), "scans/a.png"), ("http://x.example/a'b", "http://x.example/a'b")],
)
def test_the_name_tells_the_source(source: Path | str, name: str) -> None:
    """An image is called by its path or its URL."""
    assert Image(source).name == name


class Odd:
    """A path of a class of the user's own."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def __fspath__(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    "source, name",
    [
        ("", "mine"),
        (b"", "mine"),
        (Odd("a b.png"), "a b.png"),
        (Odd(b"a\xff.png"), "a\udcff.png"),
        (Odd(OSError("gone")), "<Odd>"),
        (Odd(5), "<Odd>"),
        (5, "<int>"),
    ],
)
def test_every_image_has_a_name(source: Any, name: str) -> None:
    """Whatever its source is, and an image without one is called by its id."""
    image = Image(source, id="mine")
    assert image.name == name
    assert repr(image)


def test_an_image_without_source_and_id_is_called_by_nothing() -> None:
    """Its name is empty, or says that no bytes are there."""
    assert (Image("").name, Image(b"").name) == ("", "<0 bytes>")


class PathAndURL(Odd):
    """A path that looks like a URL, too."""

    scheme = "http"

    def __str__(self) -> str:
        return "http://x.example/a"


def test_what_is_a_path_is_no_url() -> None:
    """A class that is a path stays one, whatever else it seems to be."""
    given: Any = PathAndURL("a.png")
    assert Image(given).source is given


class Schemed:
    """Has a scheme, and a text."""

    def __init__(self, scheme: Any, text: Any) -> None:
        self.scheme = scheme
        self.text = text

    def __str__(self) -> str:
        if isinstance(self.text, Exception):
            raise self.text
        return str(self.text)


@pytest.mark.parametrize(
    "given",
    [
        Schemed("ftp", "ftp://x"),
        Schemed("http", "no URL"),
        Schemed(["http"], "http://x"),
        Schemed("http", ValueError("odd")),
        Schemed(None, "http://x"),
    ],
)
def test_what_only_resembles_a_url_is_none(given: Any) -> None:
    """An object whose text is no http(s) URL fails as an image."""
    with pytest.raises(ImageError, match="image is a Schemed, allowed are a URL, a Path, bytes"):
        check_source(Image(given))


def test_an_unknown_language_is_refused_at_once() -> None:
    """The language of an image is checked where the image is made."""
    with pytest.raises(OptionError, match="lang is 'de', allowed are en, zh, ko, ja, ru"):
        Image(b"", lang="de")
    assert Image(b"", lang="ja").lang == "ja"


@given(keys=st.sets(st.sampled_from(["_id", "_url", "_base64", "lang", "prompt"]), min_size=1))
def test_extra_cannot_take_the_clients_own_keys(keys: set[str]) -> None:
    """Extra keys that the client sets itself are refused, all of them named."""
    with pytest.raises(OptionError) as caught:
        Image(b"", extra=dict.fromkeys(keys | {"free"}))
    assert str(caught.value) == f"extra has {', '.join(sorted(keys))}, which the client sets itself"


def test_an_image_is_a_value() -> None:
    """Images hash whatever their extra, and travel between processes."""
    image = Image(Path("a.png"), id="a", extra={"meta": []})
    assert pickle.loads(pickle.dumps({image})) == {image}  # noqa: S301


def test_a_url_is_never_opened_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a str is an error even where a file of that name lies."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match="only the service loads"):
        examine(Image("a.png"))


def test_a_stranger_shows_its_kind_only() -> None:
    """What is no source at all does not spill its contents into a message."""
    stranger: Any = bytearray(8_000_000)
    assert Image(stranger).name == "<bytearray>"
    assert len(repr(Image(stranger))) < 100


def test_extra_is_a_mapping() -> None:
    """Extra keys that are none are refused by kind."""
    none: Any = None
    with pytest.raises(OptionError, match="extra is a NoneType"):
        Image("https://x.example", extra=none)


def test_a_prompt_is_text() -> None:
    """A prompt of another type is refused by kind."""
    prompt: Any = b"what is it?"
    with pytest.raises(OptionError, match="prompt is a bytes"):
        Image("https://x.example", prompt=prompt)


def test_a_file_too_large_to_be_a_picture_is_not_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte fails by its size, before anything is read."""
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match="1,099,511,627,776 bytes, the limit is"):
        examine(Image(path))
