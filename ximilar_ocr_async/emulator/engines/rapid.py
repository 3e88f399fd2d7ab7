"""RapidOCR as a recogniser: pixels in, texts in reading order out. Owner of rapidocr."""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Protocol, cast

import numpy as np
from attrs import define, evolve, field
from numpy.typing import NDArray

from ximilar_ocr_async.emulator.engines.order import reading_order
from ximilar_ocr_async.emulator.images import Pixels, shrink
from ximilar_ocr_async.models import Point, Text

LANGUAGES = frozenset({"en", "ja", "zh"})
"""What the one model inside the wheel reads. Source: tried with Latin letters, kana and han."""

MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
"""Files inside the wheel, by part. Source: rapidocr 3.10.0."""

LONG_SIDE = 2000
"""[px] Images are shrunk to this. Source: rapidocr's config.yaml, ``max_side_len``; 30 px letters
on a page of 4,000 px are still read."""

SHORT_SHARE = 0.25
"""Least short side of what RapidOCR gets, as a share of the long one: it enlarges short sides to
736 px, so a thin strip would grow to gigabytes."""

LEAST_PROB = 0.5
"""Source: rapidocr's config.yaml, ``text_score``."""

DOUBTFUL_PROB = 0.85
"""Mean over the letters of a page. Measured on 24 pages: upright 0.95 and more, upside down 0.77
and less."""


class Found(Protocol):
    """What RapidOCR found: boxes (n, 4, 2), n texts and n scores, or None of each."""

    boxes: NDArray[np.float32] | None
    txts: Sequence[str] | None
    scores: Sequence[float] | None


class Model(Protocol):
    """A loaded RapidOCR, for one thread at a time."""

    def __call__(self, pixels: Pixels, /) -> Found:
        """Find and read all text in *pixels*, which are BGR."""
        ...


def load_model() -> Model:
    """Load RapidOCR from the files in its wheel; without their paths it might download others."""
    # Else onnxruntime marks the machine with an id in the home directory and reports to its maker;
    # its own function to switch that off comes too late. Source: microsoft/onnxruntime#27379.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    folder = files("rapidocr") / "models"
    params = {
        "Global.log_level": "error",
        "Global.text_score": 0.0,
        "Global.use_cls": False,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    } | {f"{part}.model_path": str(folder / name) for part, name in MODELS.items()}
    return cast("Model", import_module("rapidocr").RapidOCR(params=params))


@define
class RapidRecogniser:
    """Reads with RapidOCR. Should live as long as the application, for models load slowly.

    Callable from any thread. There are as many models as there were calls at the same time, each
    with one thread of its own; it keeps 0.2 GB, and needs up to 1 GB while it reads.

    Attributes:
        languages: What it reads; nothing where rapidocr is not installed.
        load: Makes another model.
    """

    languages: frozenset[str] = field(
        factory=lambda: LANGUAGES if find_spec("rapidocr") else frozenset()
    )
    load: Callable[[], Model] = load_model
    _idle: list[Model] = field(factory=list, init=False, repr=False)

    def __call__(self, pixels: Pixels, lang: str) -> tuple[Text, ...]:  # noqa: ARG002
        """Read *pixels*; the same model reads every *lang*."""
        small = shrink(pixels, LONG_SIDE)
        texts = self._read_any_way_up(np.ascontiguousarray(small[:, :, ::-1]))
        return tuple(_scaled(text, pixels.shape[1] / small.shape[1]) for text in texts)

    def _read_any_way_up(self, pixels: Pixels) -> tuple[Text, ...]:
        """Read *pixels* (BGR), and upside down if that goes badly; the better reading counts.

        RapidOCR's own classifier looks at the start of each line and turns upright long ones over.
        """
        texts = self._read(pixels)
        if not texts or _mean_prob(texts) >= DOUBTFUL_PROB:
            return _sure(texts)
        turned = self._read(np.ascontiguousarray(pixels[::-1, ::-1]))
        if _mean_prob(turned) <= _mean_prob(texts):
            return _sure(texts)
        height, width = pixels.shape[:2]
        return tuple(_turned(text, width, height) for text in _sure(turned))

    def _read(self, pixels: Pixels) -> tuple[Text, ...]:
        """Read *pixels* (BGR) as they are, in reading order."""
        height, width = pixels.shape[:2]
        found = self._find(_padded(pixels))
        if found.boxes is None or found.txts is None or found.scores is None:
            return ()
        boxes = np.minimum(found.boxes, (width, height)).tolist()
        texts = zip(found.txts, boxes, found.scores, strict=True)
        return reading_order(
            [Text(text, tuple(map(tuple, box)), float(prob)) for text, box, prob in texts]
        )

    def _find(self, pixels: Pixels) -> Found:
        """Use a model that no other thread uses; load one more if there is none."""
        try:
            model = self._idle.pop()
        except IndexError:
            model = self.load()
        found = model(pixels)
        self._idle.append(model)
        return found


def _padded(pixels: Pixels) -> Pixels:
    """Add white below or to the right until the short side is `SHORT_SHARE` of the long one."""
    height, width = pixels.shape[:2]
    least = int(max(height, width) * SHORT_SHARE)
    margins = (0, max(0, least - height)), (0, max(0, least - width)), (0, 0)
    return np.pad(pixels, margins, constant_values=255)


def _mean_prob(texts: Sequence[Text]) -> float:
    """How sure a reading is, as the mean over its letters; 0 without any."""
    letters = sum(len(text.text) for text in texts)
    return sum(len(text.text) * (text.prob or 0) for text in texts) / max(1, letters)


def _sure(texts: Sequence[Text]) -> tuple[Text, ...]:
    """Leave out what is more likely wrong than right."""
    return tuple(text for text in texts if (text.prob or 0) >= LEAST_PROB)


def _scaled(text: Text, factor: float) -> Text:
    """Bring *text* to the frame of a picture *factor* times as large."""
    return evolve(text, polygon=tuple((x * factor, y * factor) for x, y in text.polygon))


def _turned(text: Text, width: int, height: int) -> Text:
    """Bring *text* to the frame of the same picture upside down, its top left point first again."""
    points: list[Point] = [(width - x, height - y) for x, y in text.polygon]
    return evolve(text, polygon=(*points[2:], *points[:2]))
