"""Words of a command line become images: files, folders, patterns, URLs and lists of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.echo import images
from tests.command_line import CLI, JPEG, write

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's files and terminals")


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("name", ["a[1].jpg", "@a.jpg", "what?.jpg"])
def test_names_that_look_like_more_are_files_when_there_are_such(cli: CLI, name: str) -> None:
    """A file whose name looks like a pattern or a list is read as itself, without a heading."""
    write(name)
    assert cli("read", name).out == f"{name}\n"


@pytest.mark.usefixtures("service")
def test_a_folder_is_read_to_its_depths(cli: CLI) -> None:
    """A folder gives its images and those of the folders in it, sorted, and nothing else."""
    names = ["f/a.jpg", "f/c.PNG", "f/b/a.jpeg", "f/b/b/x.tiff", "f/d/e.webp"]
    write(*names, "f/notes.txt", "f/b/page.pdf", "f/noextension")
    assert images(cli("read", "f", "--format", "jsonl")) == names


@pytest.mark.usefixtures("service")
def test_a_pattern_is_expanded(cli: CLI) -> None:
    """A pattern that the shell left alone gives what it matches, sorted."""
    write("b.jpg", "a.jpg", "a.png", "f/c.jpg")
    assert images(cli("read", "*.jpg", "--format", "jsonl")) == ["a.jpg", "b.jpg"]
    deep = cli("read", "**/c.j?g", "--format", "jsonl")
    assert images(deep) == ["f/c.jpg"]


@pytest.mark.usefixtures("service")
def test_a_url_is_sent_as_it_is(cli: CLI) -> None:
    """A URL is fetched by the service, and one image even with a question mark."""
    write("a.jpg")
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as site:
        try:
            assert site.stdout is not None
            port = site.stdout.readline().split(" port ")[1].split()[0]
            ran = cli("read", f"http://127.0.0.1:{port}/a.jpg?size=1")
        finally:
            site.kill()
    assert (ran.code, ran.out) == (0, "a.jpg\n")


@pytest.mark.usefixtures("service")
def test_lists_name_images_line_by_line(cli: CLI) -> None:
    """A list names files with blanks in their names, with blank lines and either end of line."""
    write("a.jpg", "f/b.jpg", "d e.jpg", "[c].jpg")
    Path("list.txt").write_bytes(b"a.jpg\r\n\n\r\nf/b.jpg\n[c].jpg\nd e.jpg")
    wanted = ["a.jpg", "f/b.jpg", "[c].jpg", "d e.jpg"]
    assert images(cli("read", "@list.txt", "--format", "jsonl")) == wanted


@pytest.mark.usefixtures("service")
def test_standard_input_names_images(cli: CLI) -> None:
    """A hyphen stands for a list on standard input, among other words."""
    write("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    ran = cli("read", "d.jpg", "-", "a.jpg", "--format", "jsonl", stdin=b"b.jpg\nc.jpg\n")
    assert images(ran) == ["d.jpg", "b.jpg", "c.jpg", "a.jpg"]


@linux
@pytest.mark.usefixtures("service")
def test_names_need_not_be_unicode(cli: CLI) -> None:
    """A file whose name is not UTF-8 is read, from a folder and from a list."""
    name = b"caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(JPEG + b"menu")
    assert cli("read", ".").out == "==> caf\\udce9.jpg <==\nmenu\n\n"
    listed = cli("read", "-", "--format", "jsonl", stdin=name)
    assert (listed.code, images(listed)) == (0, [os.fsdecode(name)])


@linux
@pytest.mark.usefixtures("service")
def test_a_list_may_be_a_pipe(cli: CLI) -> None:
    """A list that can be read only once, as a shell's <(...) makes, loses nothing."""
    write("a.jpg", "b.jpg")
    receiver, sender = os.pipe()
    os.write(sender, b"a.jpg\nb.jpg\n")
    os.close(sender)
    try:
        ran = cli("read", f"@/dev/fd/{receiver}", "--format", "jsonl")
    finally:
        os.close(receiver)
    assert images(ran) == ["a.jpg", "b.jpg"]
