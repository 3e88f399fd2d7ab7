"""RapidOCR as a recogniser: pixels in, texts in reading order out."""

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
"""Languages of the model inside the wheel. Source: tried with Latin letters, kana and han."""

MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
"""Model file of each part of RapidOCR, inside the wheel. Source: rapidocr 3.10.0."""

LONG_SIDE = 2000
"""Longest side of an image [px]; larger ones are shrunk. Letters of 30 px on a page of 4,000 px are
still read. Source: rapidocr's config.yaml, ``max_side_len``."""

SHORT_SHARE = 0.25
"""Least ratio of the short side to the long side; narrower images are padded. RapidOCR enlarges
short sides to 736 px, so a thin strip would grow to gigabytes."""

MIN_PROB = 0.5
"""Least probability of a text that is kept. Source: rapidocr's config.yaml, ``text_score``."""

DOUBTFUL_PROB = 0.85
"""Mean probability per letter below which a page may be upside down. Measured on 24 pages: upright
ones have 0.95 or more, upside-down ones 0.77 or less."""


class RapidOutput(Protocol):
    """The result of RapidOCR. Every attribute is None if it found no text.

    Attributes:
        boxes: (n, 4, 2) as (x, y) [px], the corners of each text.
        txts: The n texts.
        scores: The n probabilities.
    """

    boxes: NDArray[np.float32] | None
    txts: Sequence[str] | None
    scores: Sequence[float] | None


class Model(Protocol):
    """A loaded RapidOCR. Only one thread may use it at a time."""

    def __call__(self, pixels: Pixels, /) -> RapidOutput:
        """Find and read all text in *pixels* (BGR)."""
        ...


def load_model() -> Model:
    """Load RapidOCR from the model files in its wheel."""
    # Otherwise onnxruntime stores a machine id in the home directory and sends telemetry. Its own
    # function to disable that comes too late. Source: microsoft/onnxruntime#27379.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # Without explicit paths, RapidOCR may download other models.
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
    """Reads with RapidOCR.

    An instance of this should live as long as your application does, because models load slowly.
    Any thread may call it. It holds as many models as there have been simultaneous calls. A model
    runs in one thread, keeps 0.2 GB of memory, and needs up to 1 GB while it reads.

    Attributes:
        languages: Languages that it reads. Empty if rapidocr is not installed.
        load: Loads another model.
    """

    languages: frozenset[str] = field(
        factory=lambda: LANGUAGES if find_spec("rapidocr") else frozenset()
    )
    load: Callable[[], Model] = load_model
    _idle: list[Model] = field(factory=list, init=False, repr=False)

    def __call__(self, pixels: Pixels, lang: str) -> tuple[Text, ...]:  # noqa: ARG002
        """Return the texts in *pixels*. The same model reads every *lang*."""
        small = shrink(pixels, LONG_SIDE)
        texts = self._read_either_way_up(np.ascontiguousarray(small[:, :, ::-1]))
        return tuple(_scaled(text, pixels.shape[1] / small.shape[1]) for text in texts)

    def _read_either_way_up(self, pixels: Pixels) -> tuple[Text, ...]:
        """Read *pixels* (BGR); if the result is doubtful, also upside down. Return the better one.

        RapidOCR's own classifier is not used: it looks only at the start of each line, and turns
        long upright lines upside down.
        """
        texts = self._read(pixels)
        if not texts or _mean_prob(texts) >= DOUBTFUL_PROB:
            return _drop_improbable(texts)
        turned = self._read(np.ascontiguousarray(pixels[::-1, ::-1]))
        if _mean_prob(turned) <= _mean_prob(texts):
            return _drop_improbable(texts)
        height, width = pixels.shape[:2]
        return tuple(_turned(text, width, height) for text in _drop_improbable(turned))

    def _read(self, pixels: Pixels) -> tuple[Text, ...]:
        """Read *pixels* (BGR) as they are; return the texts in reading order."""
        height, width = pixels.shape[:2]
        output = self._find(_padded(pixels))
        if output.boxes is None or output.txts is None or output.scores is None:
            return ()
        boxes = np.minimum(output.boxes, (width, height)).tolist()
        texts = zip(output.txts, boxes, output.scores, strict=True)
        return reading_order(
            [Text(text, tuple(map(tuple, box)), float(prob)) for text, box, prob in texts]
        )

    def _find(self, pixels: Pixels) -> RapidOutput:
        """Run an idle model on *pixels*; load one more if all are in use."""
        try:
            model = self._idle.pop()
        except IndexError:
            model = self.load()
        output = model(pixels)
        self._idle.append(model)
        return output


def _padded(pixels: Pixels) -> Pixels:
    """Add white at the bottom or right until the short side is `SHORT_SHARE` of the long one."""
    height, width = pixels.shape[:2]
    least = int(max(height, width) * SHORT_SHARE)
    margins = (0, max(0, least - height)), (0, max(0, least - width)), (0, 0)
    return np.pad(pixels, margins, constant_values=255)


def _mean_prob(texts: Sequence[Text]) -> float:
    """Return the mean probability per letter, or 0 if there are no letters."""
    letters = sum(len(text.text) for text in texts)
    return sum(len(text.text) * (text.prob or 0) for text in texts) / max(1, letters)


def _drop_improbable(texts: Sequence[Text]) -> tuple[Text, ...]:
    """Drop texts that are more likely wrong than right."""
    return tuple(text for text in texts if (text.prob or 0) >= MIN_PROB)


def _scaled(text: Text, factor: float) -> Text:
    """Convert *text* to the frame of an image *factor* times as large."""
    return evolve(text, polygon=tuple((x * factor, y * factor) for x, y in text.polygon))


def _turned(text: Text, width: int, height: int) -> Text:
    """Convert *text* to the frame of the image upside down, its top left point first again."""
    points: list[Point] = [(width - x, height - y) for x, y in text.polygon]
    return evolve(text, polygon=(*points[2:], *points[:2]))
