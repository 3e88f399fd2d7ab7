"""The example images: the table EXAMPLES in, examples/images/ and examples/truth.json out.

    python examples/make_images.py

Needs Pillow and three Debian packages of fonts: fonts-noto-core and fonts-noto-cjk (Noto Sans and
Noto Serif, SIL Open Font License 1.1), fonts-dejavu-core (DejaVu Sans Mono, the free Bitstream
Vera and Arev licences).

Every text, shop and person is invented. In the texts of the table, "; " ends a line like a newline,
"//" ends a block (a balloon, a plate, a chat bubble), " | " separates the cells of a row, and a
line may start with a mark (see flow()).
"""

# ruff: noqa: RUF001 - letters that look Latin are Chinese, Japanese and Russian

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

Point = tuple[float, float]
LineStart = tuple[float, float, float]
Box = tuple[float, float, float, float]

HERE = Path(__file__).parent
IMAGES = HERE / "images"
TRUTH = HERE / "truth.json"

NOTO = "/usr/share/fonts/truetype/noto/"
CJK = "/usr/share/fonts/opentype/noto/"
DEJAVU = "/usr/share/fonts/truetype/dejavu/"
FONT_FILES = {
    "sans": (NOTO + "NotoSans-Regular.ttf", "fonts-noto-core"),
    "bold": (NOTO + "NotoSans-Bold.ttf", "fonts-noto-core"),
    "serif": (NOTO + "NotoSerif-Regular.ttf", "fonts-noto-core"),
    "mono": (DEJAVU + "DejaVuSansMono.ttf", "fonts-dejavu-core"),
    "cjk sans": (CJK + "NotoSansCJK-Regular.ttc", "fonts-noto-cjk"),
    "cjk bold": (CJK + "NotoSansCJK-Bold.ttc", "fonts-noto-cjk"),
    "cjk serif": (CJK + "NotoSerifCJK-Regular.ttc", "fonts-noto-cjk"),
    "cjk mono": (CJK + "NotoSansCJK-Regular.ttc", "fonts-noto-cjk"),
}
CJK_INDEX = {"ja": 0, "ko": 1, "zh": 2}
ACCENTS = {"en": "#20567a", "zh": "#a32620", "ja": "#3f4f8f", "ko": "#0f6b5c", "ru": "#1d4e9e"}
INK = "#22252b"
SNOW = "#f2f4f8"
GOLD = "#ffd98a"
DARK = 300
CLEAR = "#00000000"
SMOOTHING = 2
ROW_STEP, TITLE, GAP = 1.62, 1.6, 0.72
BLOCK = "\n//\n"
COLUMN_SHARE = 0.25
NOISE_SHARE = 0.34
FADE_SHARE = 0.72
EXIF_ORIENTATION, EXIF_TURN_CLOCKWISE = 0x0112, 6
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 82, "optimize": True},
    ".png": {"optimize": True},
    ".webp": {"quality": 82, "method": 6},
    ".tiff": {"compression": "tiff_lzw"},
    ".bmp": {},
}


@cache
def font(lang: str, face: str, size: int) -> ImageFont.FreeTypeFont:
    """Load the font for a language; if it is missing, raise an error that names its package."""
    path, package = FONT_FILES[f"cjk {face}" if lang in CJK_INDEX else face]
    if not Path(path).is_file():
        message = f"{path} is missing: apt-get install {package}"
        raise FileNotFoundError(message)
    return ImageFont.truetype(path, size, index=CJK_INDEX.get(lang, 0))


@dataclass(frozen=True)
class Style:
    """Appearance of a text.

    Attributes:
        size: Size of the font [px].
        face: Key of the font in `FONT_FILES`.
        fill: Colour of the text.
    """

    size: float
    face: str = "sans"
    fill: str = INK


class Sheet:
    """An image that is being drawn, and the lines written on it so far. Units are final pixels."""

    def __init__(self, name: str, size: tuple[int, int], paper: str, scale: int) -> None:
        """Make an empty sheet. The ink is light if the *paper* is dark."""
        self.lang = name[:2]
        dark = paper != CLEAR and sum(ImageColor.getrgb(paper)[:3]) < DARK
        self.ink, self.accent = (SNOW, GOLD) if dark else (INK, ACCENTS[self.lang])
        self.width, self.height = size
        self.zoom = max(scale, SMOOTHING)
        self.shrink = self.zoom // scale
        self.image = Image.new("RGBA", (size[0] * self.zoom, size[1] * self.zoom), paper)
        self.draw = ImageDraw.Draw(self.image)
        self.lines: list[str] = []
        self.random = random.Random(name)  # noqa: S311 - decoration, and it must repeat

    def zoomed(self, numbers: Iterable[float]) -> list[float]:
        """Convert final pixels to the pixels of the drawing."""
        return [number * self.zoom for number in numbers]

    def font(self, style: Style) -> ImageFont.FreeTypeFont:
        """Return the font of a style in the language and zoom of this image."""
        return font(self.lang, style.face, round(style.size * self.zoom))

    def write(self, x: float, y: float, text: str, style: Style, anchor: str = "ls") -> None:
        """Write a line of text with its baseline at *y*, and record it as truth."""
        where = (x * self.zoom, y * self.zoom)
        self.draw.text(where, text, style.fill, self.font(style), anchor)
        self.lines.append(text)

    def widest(self, lines: Sequence[str], style: Style) -> float:
        """Return the width of the longest line."""
        return max(self.font(style).getlength(line) for line in lines) / self.zoom

    def box(
        self, place: Box, fill: str | None = None, edge: str | None = None, corner: float = 0
    ) -> None:
        """Draw a rectangle (x, y, width, height); *corner* is the radius of its corners."""
        x, y, width, height = place
        ends = self.zoomed((x, y, x + width, y + height))
        self.draw.rounded_rectangle(ends, corner * self.zoom, fill, edge, 2 * self.zoom)

    def disc(self, x: float, y: float, radius: float, fill: str) -> None:
        """Draw a filled circle around (x, y)."""
        self.draw.ellipse(self.zoomed((x - radius, y - radius, x + radius, y + radius)), fill)

    def shape(self, *corners: float, fill: str) -> None:
        """Draw a filled polygon through *corners*: x, y, x, y, ..."""
        self.draw.polygon(self.zoomed(corners), fill)

    def stroke(self, *points: float, fill: str = INK, width: float = 2) -> None:
        """Draw a line through *points*: x, y, x, y, ..."""
        self.draw.line(self.zoomed(points), fill, round(width * self.zoom))

    def finished(self) -> Image.Image:
        """Return the image in its final size."""
        return self.image.reduce(self.shrink) if self.shrink > 1 else self.image


def flow(sheet: Sheet, text: str, start: LineStart, style: Style) -> float:
    """Write lines downwards from a *start* (x, baseline, width); return the next baseline.

    Marks: "# " a centred title, "= " centred, "* " bold, "---" a rule, "//" a small gap.
    """
    x, y, width = start
    for line in text.splitlines():
        mark, _, words = line.partition(" ")
        if line == "//":
            y += style.size * GAP
        elif line == "---":
            level = y - style.size * GAP
            sheet.stroke(x, level, x + width, level, fill=style.fill, width=1)
            y += style.size * GAP
        elif mark == "#":
            title = Style(style.size * TITLE, "bold", sheet.accent)
            sheet.write(x + width / 2, y + style.size / 2, words, title, "ms")
            y += style.size * (ROW_STEP + GAP)
        elif mark == "=":
            sheet.write(x + width / 2, y, words, style, "ms")
            y += style.size * ROW_STEP
        else:
            bold = mark == "*"
            face = replace(style, face="bold") if bold else style
            row(sheet, words if bold else line, (x, y, width), face)
            y += style.size * ROW_STEP
    return y


def row(sheet: Sheet, line: str, start: LineStart, style: Style) -> None:
    """Write cells: the first at the left edge, the others right-aligned in columns."""
    x, y, width = start
    first, *others = line.split(" | ")
    sheet.write(x, y, first, style)
    for behind, cell in zip(range(len(others) - 1, -1, -1), others, strict=True):
        sheet.write(x + width * (1 - behind * COLUMN_SHARE), y, cell, style, "rs")


def cat(sheet: Sheet, centre: Point, radius: float, fill: str, floor: float) -> None:
    """Draw a cat that sits on the floor."""
    x, y = centre
    feet = radius * 0.8
    sheet.shape(x - radius / 2, y, x + radius / 2, y, x + feet, floor, x - feet, floor, fill=fill)
    for side in (-radius, radius):
        sheet.shape(
            *(x + side * 0.85, y - radius * 1.4, x + side * 0.15, y - radius * 0.8),
            *(x + side * 0.98, y),
            fill=fill,
        )
    sheet.disc(x, y, radius, fill)
    for side in (-radius, radius):
        sheet.disc(x + side * 0.42, y - radius * 0.1, radius * 0.2, "white")
        sheet.disc(x + side * 0.42, y - radius * 0.08, radius * 0.11, INK)
        for low in (0.26, 0.48):
            ends = (x + side / 2, y + radius * 0.38, x + side * 1.25, y + radius * low)
            sheet.stroke(*ends, width=radius / 30)
    nose = (x - radius * 0.13, y + radius * 0.22, x + radius * 0.13, y + radius * 0.22)
    sheet.shape(*nose, x, y + radius * 0.38, fill="#d9737f")


def hills(sheet: Sheet, top: float, colours: Sequence[str]) -> None:
    """Draw rows of hills from *top* down to the lower edge."""
    for depth, colour in enumerate(colours):
        y = top + (sheet.height - top) * depth / (len(colours) + 1)
        points: list[float] = []
        for index in range(7):
            points += (index * sheet.width / 6, y + sheet.random.uniform(0, sheet.height / 11))
        sheet.shape(*points, sheet.width, sheet.height, 0, sheet.height, fill=colour)


def receipt(sheet: Sheet, text: str) -> None:
    """Draw a receipt with a torn lower edge."""
    flow(sheet, text, (36, 64, sheet.width - 72), Style(23, "mono"))
    for x in range(0, sheet.width, 20):
        low = sheet.height
        sheet.shape(x, low, x + 10, low - 10, x + 20, low, fill=CLEAR)


def page(sheet: Sheet, text: str, face: str = "serif", frames: int = 1) -> None:
    """Draw a letter, a menu or a table: one flow of lines with any number of frames."""
    for inset in range(18, 18 + 10 * frames, 10):
        place = (inset, inset, sheet.width - 2 * inset, sheet.height - 2 * inset)
        sheet.box(place, edge="#9a7b4f")
    flow(sheet, text, (64, 88, sheet.width - 128), Style(25, face))


def label(sheet: Sheet, text: str) -> None:
    """Draw the side of a packet: a title, a table in a frame, and small print below."""
    head, table, foot = text.split(BLOCK)
    place = (16, 16, sheet.width - 32, sheet.height - 32)
    sheet.box(place, "white", sheet.accent, 18)
    y = flow(sheet, head, (40, 76, sheet.width - 80), Style(23))
    below = flow(sheet, table, (60, y + 36, sheet.width - 120), Style(22))
    sheet.box((44, y, sheet.width - 88, below - y - 8), edge=INK)
    flow(sheet, foot, (44, below + 40, sheet.width - 88), Style(22))


def card(sheet: Sheet, text: str) -> None:
    """Draw a trading card: a name, a picture and the rules."""
    name, rules = text.split(BLOCK)
    sheet.box((0, 0, sheet.width, sheet.height), "#d9a441", corner=26)
    sheet.box((18, 18, sheet.width - 36, sheet.height - 36), "#fbf3df", corner=14)
    row(sheet, name, (40, 66, sheet.width - 80), Style(29, "bold", sheet.accent))
    sheet.box((36, 86, sheet.width - 72, 270), sheet.accent, "#7a5a1e", 6)
    for _ in range(40):
        x = sheet.random.uniform(50, sheet.width - 50)
        sheet.disc(x, sheet.random.uniform(100, 340), sheet.random.uniform(1, 2.2), "#ffe9a8")
    cat(sheet, (sheet.width / 2, 232), 72, "#ef8f4a", 354)
    flow(sheet, rules, (40, 402, sheet.width - 80), Style(23))


def poster(sheet: Sheet, text: str) -> None:
    """Draw a poster: the text above hills in the evening, with a cat."""
    sheet.disc(sheet.width * 0.8, sheet.height * 0.72, sheet.height * 0.1, "#f6c667")
    hills(sheet, sheet.height * 0.72, ("#b9cfd0", "#7fa5a4", "#44706f"))
    listener = (sheet.width * 0.16, sheet.height * 0.86)
    cat(sheet, listener, sheet.height * 0.07, "#2f4858", sheet.height)
    style = Style(sheet.width / 24, fill=sheet.ink)
    flow(sheet, text, (40, sheet.height * 0.17, sheet.width - 80), style)


def comic(sheet: Sheet, text: str) -> None:
    """Draw two panels, one below the other, each with two cats and two balloons."""
    balloons = text.split(BLOCK)
    panel, right = (sheet.height - 60) / 2, sheet.width - 150
    pairs = zip(balloons[::2], balloons[1::2], strict=True)
    for index, (first, second) in enumerate(pairs):
        top = 20 + index * (panel + 20)
        floor = top + panel - 2
        sheet.box((20, top, sheet.width - 40, panel), ("#ffe3a3", "#bfe0ea")[index], INK)
        cat(sheet, (150, floor - 96), 56, "#e98b4f", floor)
        cat(sheet, (right, floor - 96), 56, "#7d8799", floor)
        balloon(sheet, first, (50, top + 24), (150, floor - 184))
        balloon(sheet, second, (sheet.width - 350, top + 142), (right, floor - 176))


def balloon(sheet: Sheet, text: str, corner: Point, tip: Point) -> None:
    """Draw a speech balloon that points to *tip*."""
    x, y = corner
    lines = text.splitlines()
    low = y + 40 * len(lines) + 26
    sheet.box((x, y, 300, low - y), "white", INK, 26)
    sheet.shape(tip[0] - 14, low - 3, tip[0] + 14, low - 3, *tip, fill="white")
    sheet.stroke(tip[0] - 14, low - 1, *tip, tip[0] + 14, low - 1)
    for number, line in enumerate(lines):
        sheet.write(x + 150, y + 46 + 40 * number, line, Style(27), "ms")


def window(sheet: Sheet, bar: str) -> None:
    """Draw the title bar of a window with its three buttons."""
    sheet.box((0, 0, sheet.width, 44), bar)
    for number, colour in enumerate(("#e2695f", "#e5b64f", "#69b461")):
        sheet.disc(28 + 26 * number, 22, 8, colour)


def terminal(sheet: Sheet, text: str) -> None:
    """Draw a dark terminal."""
    window(sheet, "#343a46")
    colours = {"$": "#8fd694", "!": "#f0b866"}
    for number, line in enumerate(text.splitlines()):
        fill = colours.get(line[0], sheet.ink)
        sheet.write(30, 90 + 38 * number, line, Style(22, "mono", fill))


def chat(sheet: Sheet, text: str) -> None:
    """Draw a chat: a title, then bubbles that alternate between left and right."""
    title, *bubbles = text.split(BLOCK)
    window(sheet, "#dfe3ea")
    sheet.write(sheet.width / 2, 31, title, Style(23, "bold"), "ms")
    y, style = 70.0, Style(25)
    for index, bubble in enumerate(bubbles):
        lines = bubble.splitlines()
        width, height = sheet.widest(lines, style) + 44, 40.5 * len(lines) + 18
        mine = index % 2 == 1
        x = sheet.width - width - 66 if mine else 66
        face = (sheet.width - 34, sheet.accent) if mine else (34, "#d58f4e")
        sheet.disc(face[0], y + 22, 20, face[1])
        sheet.box((x, y, width, height), "#d4ecd0" if mine else "white", corner=16)
        flow(sheet, bubble, (x + 22, y + 38, width - 44), style)
        y += height + 24


def town(sheet: Sheet) -> None:
    """Draw houses in front of hills."""
    hills(sheet, sheet.height * 0.66, ("#a9c3a4", "#7ea37a"))
    for x in range(20, sheet.width - 76, 92):
        roof = sheet.height - sheet.random.uniform(60, 150)
        wall = sheet.random.choice(("#c99a76", "#b8b0a4", "#d8c7a0"))
        sheet.box((x, roof, 70, sheet.height - roof), wall)
        sheet.shape(x - 6, roof, x + 35, roof - 36, x + 76, roof, fill="#8c4a3c")
        for left in (14, 42):
            sheet.box((x + left, roof + 14, 14, 18), "#fbe7a9")


def sign(sheet: Sheet, text: str) -> None:
    """Draw plates on a pole in front of a town, one below the other."""
    town(sheet)
    middle, y = sheet.width / 2, 50.0
    sheet.box((middle - 9, 24, 18, sheet.height - 24), "#6d747c", corner=8)
    for index, plate in enumerate(text.split(BLOCK)):
        lines = plate.splitlines()
        back, ink = ((sheet.accent, "white"), ("#f7f7f2", INK))[index % 2]
        style = Style(38, "bold", ink)
        half, tall = sheet.widest(lines, style) / 2 + 34, 58 * len(lines) + 24
        sheet.box((middle - half - 5, y - 5, 2 * half + 10, tall + 10), ink, corner=13)
        sheet.box((middle - half, y, 2 * half, tall), back, ink, 10)
        for number, line in enumerate(lines):
            sheet.write(middle, y + 55 + 58 * number, line, style, "ms")
        y += tall + 34


def business_card(sheet: Sheet, text: str) -> None:
    """Draw a business card: a logo on the left, a name and addresses beside it."""
    sheet.disc(92, sheet.height / 2, 58, sheet.accent)
    sheet.disc(112, sheet.height / 2 - 18, 30, "#e9b44c")
    name, trade, address = text.split(BLOCK)
    sheet.write(190, 72, name, Style(34, "bold", sheet.accent))
    y = flow(sheet, trade, (190, 114, sheet.width - 220), Style(22))
    sheet.stroke(190, y - 14, sheet.width - 36, y - 14, fill="#b9a06a")
    flow(sheet, address, (190, y + 24, sheet.width - 220), Style(22))


def notice(sheet: Sheet, text: str) -> None:
    """Draw a lost-pet notice with a cat in the middle."""
    head, foot = text.split(BLOCK)
    flow(sheet, head, (40, 80, sheet.width - 80), Style(30))
    sheet.box((sheet.width / 2 - 150, 180, 300, 270), "#d8dfd2", INK)
    cat(sheet, (sheet.width / 2, 326), 76, "#8b8f98", 448)
    flow(sheet, foot, (40, 510, sheet.width - 80), Style(28))


def price_tag(sheet: Sheet, text: str) -> None:
    """Draw a price tag of a few pixels."""
    sheet.disc(11, sheet.height / 2, 4, "#b98a2f")
    sheet.write(sheet.width / 2 + 8, sheet.height / 2 + 7, text, Style(19, "bold"), "ms")


def no_text(sheet: Sheet, _text: str) -> None:
    """Draw a cat on the hills in the morning, without any text."""
    sheet.disc(sheet.width * 0.78, 110, 52, "#ffd166")
    for x, y in ((120, 90), (160, 76), (200, 92), (330, 60), (368, 70)):
        sheet.disc(x, y, 26, "white")
    hills(sheet, 230, ("#a8cfa0", "#7fb57a", "#5a9560"))
    for x, y in ((60, 330), (120, 352), (480, 322), (545, 350)):
        sheet.box((x - 7, y, 14, 60), "#7a5a3c")
        sheet.disc(x, y - 20, 40, "#3f7a4a")
    cat(sheet, (290, 290), 62, "#e98b4f", 404)


def flat(image: Image.Image) -> Image.Image:
    """Put the image on a white background, in RGB."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def on_desk(image: Image.Image, degrees: float) -> Image.Image:
    """Show the image like a photo of a sheet on a desk: rotated clockwise, with a shadow."""
    turned = image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    size = (turned.width + 50, turned.height + 50)
    light = Image.linear_gradient("L").rotate(90).resize(size)
    bright, dim = (Image.new("RGBA", size, colour) for colour in ("#a98562", "#8a6747"))
    desk = Image.composite(bright, dim, light)
    shadow = Image.new("L", size)
    shadow.paste(turned.getchannel("A").point([value // 2 for value in range(256)]), (33, 35))
    desk.paste("#1c120a", (0, 0), shadow.filter(ImageFilter.GaussianBlur(7)))
    desk.alpha_composite(turned, (25, 25))
    return desk.convert("RGB")


def noisy(image: Image.Image) -> Image.Image:
    """Add noise, as in a photo in bad light."""
    grain = random.Random(1).randbytes(3 * image.width * image.height)  # noqa: S311 - must repeat
    noise = Image.frombytes("RGB", image.size, grain)
    return Image.blend(flat(image), noise, NOISE_SHARE)


def faded(image: Image.Image) -> Image.Image:
    """Fade the text nearly to the colour of its paper."""
    return Image.blend(flat(image), Image.new("RGB", image.size, "#d9d0bf"), FADE_SHARE)


def grey(image: Image.Image) -> Image.Image:
    """Convert to one channel of 8 bits."""
    return flat(image).convert("L")


def grey16(image: Image.Image) -> Image.Image:
    """Convert to one channel of 16 bits, which is all white if it is cut to 8 bits unscaled."""
    return grey(image).convert("I").point(lambda value: value * 257).convert("I;16")


def one_bit(image: Image.Image) -> Image.Image:
    """Convert to black and white."""
    return grey(image).convert("1", dither=Image.Dither.NONE)


def palette(image: Image.Image) -> Image.Image:
    """Convert to indices into a palette."""
    return flat(image).quantize(48)


def cmyk(image: Image.Image) -> Image.Image:
    """Convert to the four colours of print."""
    return flat(image).convert("CMYK")


def sideways(image: Image.Image) -> Image.Image:
    """Store the image on its side, with the EXIF tag that turns it upright."""
    stored = flat(image).transpose(Image.Transpose.ROTATE_90)
    stored.getexif()[EXIF_ORIENTATION] = EXIF_TURN_CLOCKWISE
    return stored


@dataclass(frozen=True)
class Example:
    """An image to make.

    Attributes:
        name: File name, as "<lang>-<what>.<ext>".
        size: Width and height [px].
        paper: Colour of the background.
        layout: Draws the text and all else.
        text: Text to draw.
        finish: Converts the finished drawing.
        trap: What makes the image hard to read.
        scale: Factor by which the file is larger than *size*.
    """

    name: str
    size: tuple[int, int]
    paper: str
    layout: Callable[[Sheet, str], None]
    text: str = ""
    finish: Callable[[Image.Image], Image.Image] = flat
    trap: str | None = None
    scale: int = 1

    def make(self) -> dict[str, Any]:
        """Draw and save the image; return its entry in the truth."""
        lang, what = Path(self.name).stem.split("-", 1)
        sheet = Sheet(self.name, self.size, self.paper, self.scale)
        self.layout(sheet, self.text.strip().replace("; ", "\n"))
        path = IMAGES / self.name
        image = self.finish(sheet.finished())
        options = dict(SAVE_OPTIONS[path.suffix])
        if image.getexif():
            options["exif"] = image.getexif()
        image.save(path, **options)
        what = what.replace("-", " ")
        return {"lang": lang, "what": what, "trap": self.trap, "lines": sheet.lines}


# fmt: off
EXAMPLES = [
    Example("en-receipt.jpg", (470, 620), "#fdfdf9", receipt, """
# Harbour Lane Cafe; = 14 Harbour Lane, Millbrook; = Tel. 01632 960 114; ---
Flat white x 2 | 7.60; Almond croissant | 3.45; Sourdough toast | 4.20; Orange juice | 3.90; ---
* TOTAL | 19.15; Card ending 0042 | 19.15; VAT included 20% | 3.19; ---
= Table 7, 16 May 2025, 10:42; = Thank you, see you soon!
""", partial(on_desk, degrees=3), "rotated by 3 degrees"),
    Example("en-invoice.png", (900, 700), "white", partial(page, face="sans", frames=0), """
# INVOICE; Larkfield Joinery Ltd. | No. 2025-0187; 3 Mill Yard, Oxbridge | 3 June 2025; ---
* Description | Quantity | Unit price | Amount; ---; Oak shelf, 120 cm | 4 | 86.50 | 346.00
Wall bracket, black | 8 | 7.25 | 58.00; Beech table top | 1 | 412.00 | 412.00
Fitting, per hour | 6 | 38.00 | 228.00; ---; Subtotal | 1,044.00; VAT 20% | 208.80
* Total due | 1,252.80; ---; Please pay within 30 days. Goods remain ours until paid in full.
""", grey, "grey PNG"),
    Example("en-label.webp", (520, 740), "#e8c98f", label, """
# Golden Oat Crunch; = Cereal with honey and almonds; = Net weight 375 g; //
* Typical values | per 100 g; Energy | 1,780 kJ; Fat | 12.4 g; of which saturates | 1.9 g
Carbohydrate | 61.0 g; of which sugars | 17.5 g; Fibre | 8.2 g; Protein | 10.6 g; Salt | 0.35 g
//; Ingredients: oat flakes, honey, almonds,; sunflower oil, raisins, sea salt.
Store in a cool, dry place.
"""),
    Example("en-card.png", (480, 640), CLEAR, card, """
Emberpaw | HP 90; //; * Warm Nap | 20; Heal a friend by ten points.; * Chimney Dash | 60
Flip a coin. If heads, strike again.; ---; = It sleeps where the bread is baked.
027 of 120 | Rare
"""),
    Example("en-poster.jpg", (1000, 700), "#223a5e", poster, """
# Lantern Night; = Open-air music by the lake; = Saturday 12 July, 7 pm
= Willow Park, north gate; = Free entry, bring a blanket
""", trap="4000 pixels wide", scale=4),
    Example("en-comic.png", (640, 960), "white", comic, """
Captain, the map; is upside down!; //; No, the island; is upside down.; //; Then who is
steering the ship?; //; The other cat.; She has a licence.
""", palette, "palette PNG"),
    Example("en-terminal.png", (780, 500), "#1d2129", terminal, """
$ make test; collected 48 items; tests/test_client.py passed; tests/test_retry.py passed
! warning: cache is 91% full; 48 passed in 3.27 seconds; $ git log --oneline
4be71c9 Close the session on errors; a03d552 Read the timeout from a file; $ exit
""", trap="dark mode"),
    Example("en-sign.jpg", (620, 700), "#cfe4f2", sign, """
Mill Street; //; Old Harbour 2 km; Ferry to the islands; //; No parking; 8 am to 6 pm
""", sideways, "stored rotated, EXIF orientation 6"),
    Example("en-business-card.png", (640, 322), CLEAR, business_card, """
Maribel Thornquist; //; Landscape architect; Alder & Finch Gardens; //
29 Orchard Row, Stonebridge; Phone 01632 960 277; maribel@alderfinch.example
""", Image.Image.copy, "RGBA PNG, transparent background"),
    Example("en-menu.jpg", (640, 630), "#fbf6ea", partial(page, frames=2), """
# Pepper & Plum; = Supper menu; ---; Roasted tomato soup | 6.50; Smoked trout on rye | 8.75
Mushroom risotto | 13.20; Lamb shank, rosemary jus | 18.90; Charred leeks, hazelnut | 9.40; ---
Rhubarb crumble | 6.80; Dark chocolate pot | 7.10; ---; = Ask us about allergens.
""", faded, "low contrast"),
    Example("en-letter.tiff", (760, 580), "white", page, """
Town Library of Fernhollow; 3 Chapel Square; ---; Dear reader,
the reading room will be closed from Monday; 4 August until Friday 15 August 2025 while
the roof is repaired. Books that are due in; this time may be returned on 18 August.; //
The children's hour moves to the town hall.; //; With kind regards,; the librarians
""", one_bit, "1-bit TIFF"),
    Example("en-notice.jpg", (560, 720), "#fffdf2", notice, """
# LOST CAT; = Answers to Biscuit; //; = Grey, white paws, very polite; = Last seen near Elm Road
= Please call 01632 960 148; = Reward: homemade jam
""", noisy, "noisy"),
    Example("en-price-tag.png", (120, 40), "#ffe27a", price_tag, "SALE 4.99", trap="tiny"),
    Example("en-no-text.png", (600, 420), "#bfe3f5", no_text, trap="no text"),
    Example("zh-receipt.jpg", (470, 620), "#fdfdf9", receipt, """
# 小满便利店; = 梧桐路十八号; = 电话 0571-5550128; ---; 鲜牛奶 x 2 | 15.80; 全麦面包 | 9.50
茶叶蛋 x 3 | 6.00; 矿泉水 | 2.00; ---; * 合计 | 33.30; 实收现金 | 50.00; 找零 | 16.70; ---
= 2025年5月16日 10:42; = 谢谢惠顾，欢迎再来
""", partial(on_desk, degrees=2), "rotated by 2 degrees"),
    Example("zh-label.jpg", (540, 640), "#dfe9c9", label, """
# 蜂蜜核桃饼干; = 净含量 240克; //; * 营养成分表 | 每100克; 能量 | 1986千焦; 蛋白质 | 7.8克
脂肪 | 22.5克; 碳水化合物 | 60.3克; 钠 | 185毫克; //; 配料：小麦粉、核桃仁、蜂蜜、鸡蛋、
白砂糖、植物油、食用盐; 保质期：九个月; 请置于阴凉干燥处
""", cmyk, "CMYK JPEG"),
    Example("zh-chat.png", (620, 570), "#eef1f5", chat, """
周末爬山群; //; 明天早上七点在地铁口集合，; 别忘了带水和雨衣; //; 好的，我来准备午饭; //
天气预报说下午有小雨; //; 那我们早点下山，; 三点以前回到车站; //; 收到，明天见！
"""),
    Example("zh-sign.webp", (600, 680), "#d5e6f0", sign, """
桂花路; GUIHUA LU; //; 前方学校; 减速慢行; //; 图书馆 300米
"""),
    Example("zh-menu.png", (600, 650), "#fdf5e4", partial(page, frames=2), """
# 竹里小馆; = 家常菜单; ---; 番茄炒鸡蛋 | 22元; 麻婆豆腐 | 26元; 清蒸鲈鱼 | 68元
红烧排骨 | 58元; 蒜蓉西兰花 | 24元; ---; 酸辣汤 | 18元; 扬州炒饭 | 20元; 桂花酒酿圆子 | 16元
---; = 本店不使用味精
"""),
    Example("ja-card.png", (500, 640), CLEAR, card, """
ほしみネコ | HP 120; //; * ひかりのしっぽ | 30; 相手の山札を一枚めくる。; * 流れ星ジャンプ | 80
コインを投げて表なら成功。; ---; = 屋根の上で夜空を数えている。; 第014番 | レア
"""),
    Example("ja-comic.webp", (640, 960), "white", comic, """
ねえ、今日は; 何曜日だっけ？; //; もちろん; 日曜日だよ。; //; じゃあ、どうして
目覚ましが鳴るの？; //; しまった！; 月曜日だった！
"""),
    Example("ja-sign.png", (620, 680), "#dcebf3", sign, """
桜川通り; Sakuragawa-dori; //; この先 通り抜け; できません; //; 市民プール 400m
"""),
    Example("ja-business-card.tiff", (660, 322), "#fbf8ef", business_card, """
山吹 ひなた; //; デザイナー; 株式会社みなも工房; //; 青葉市中央区桜町三丁目5番
電話 03-5550-0182; hinata@minamo.example
"""),
    Example("ja-menu.jpg", (600, 620), "#fbf3e2", partial(page, frames=2), """
# 定食屋 ひだまり; = 本日のおすすめ; ---; 鶏のからあげ定食 | 850円; さばの味噌煮定食 | 920円
とんかつ定食 | 980円; きつねうどん | 620円; カレーライス | 700円; ---; 生ビール | 480円
ウーロン茶 | 250円; ---; = ごはんの大盛りは無料です
""", partial(on_desk, degrees=1), "rotated by 1 degree"),
    Example("ko-menu.png", (560, 580), "#fbf4e6", partial(page, face="bold"), """
# 달빛 식당; = 오늘의 차림표; ---; 된장찌개 | 8,000원; 비빔밥 | 9,000원; 해물파전 | 14,000원
잔치국수 | 7,000원; ---; 식혜 | 3,500원; 유자차 | 4,500원; ---; = 반찬은 더 드립니다
"""),
    Example("ko-letter.webp", (800, 580), "white", page, """
마을 도서관 안내문; 은행나무길 12; ---; 안녕하세요, 주민 여러분.
다음 주 월요일부터 금요일까지 도서관 지붕을; 고치는 공사를 합니다. 이 기간에는 열람실을
이용할 수 없으며, 빌린 책은 공사가 끝난 뒤에; 돌려주시면 됩니다.; //
어린이 책 읽기 모임은 마을 회관에서 엽니다.; 불편을 드려 죄송합니다.
"""),
    Example("ko-poster.jpg", (680, 600), "#f6ead0", poster, """
# 가을 숲 음악회; = 시월 십일일 토요일 저녁 여섯 시; = 은행나무 공원 야외 무대
= 누구나 무료로 들어올 수 있습니다
"""),
    Example("ru-receipt.png", (500, 610), "#fdfdf9", receipt, """
# Пекарня «Колосок»; = Садовая улица, дом 12; = Кассир: Вера; ---; Хлеб ржаной | 64,00
Булочка с маком | 48,50; Пирог с яблоком | 185,00; Чай чёрный | 70,00; ---; * ИТОГО | 367,50
Наличными | 400,00; Сдача | 32,50; ---; = 16 мая 2025 года, 10:42; = Спасибо за покупку!
""", grey16, "16-bit grey PNG"),
    Example("ru-poster.jpg", (700, 600), "#f3e6cf", poster, """
# Осенняя ярмарка; = Мёд, яблоки, пироги и ремёсла; = Суббота, 20 сентября, с десяти утра
= Площадь у старой мельницы; = Вход свободный
"""),
    Example("ru-business-card.bmp", (510, 318), "#fbf8ef", business_card, """
Аглая Ветрова; //; Реставратор мебели; Мастерская «Старый дуб»; //; Озёрск, Речная улица, 7
Телефон 555-01-43; Ежедневно с 9 до 18
"""),
]
# fmt: on


def main() -> None:
    """Make all images and the file with the truth about them."""
    IMAGES.mkdir(exist_ok=True)
    truth = {example.name: example.make() for example in EXAMPLES}
    TRUTH.write_text(json.dumps(truth, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
