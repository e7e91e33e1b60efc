"""What is compared, who takes part, and with which inputs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contestants import OURS
from benchmarks.peers import inputs
from benchmarks.speech_like import SHAPES

BEAM_WIDTH = 50


@dataclass(frozen=True)
class Contestant:
    """Who does it.

    Attributes:
        folder: Of its worker in `benchmarks/peers`, and of its environment.
        given: What it is told besides.
    """

    folder: str
    given: dict[str, Any] = field(default_factory=dict)


CONTESTANTS = {
    OURS: Contestant("ours"),
    "PyTorch": Contestant("pytorch", {"compiled": False, "decoder": "soundfile"}),
    "PyTorch, compiled": Contestant("pytorch", {"compiled": True}),
    "PyTorch, torchcodec": Contestant("pytorch", {"decoder": "torchcodec"}),
    "SpeechBrain": Contestant("speechbrain"),
    "TensorFlowASR": Contestant("tensorflow_asr"),
    "pyctcdecode": Contestant("pyctcdecode"),
    "flashlight-text": Contestant("flashlight"),
    "jiwer": Contestant("jiwer"),
}
"""By the name that tables give them."""

PEERS = [one for one in dict.fromkeys(contestant.folder for contestant in CONTESTANTS.values()) if one != "ours"]
"""Those with an environment of their own."""


class Input(NamedTuple):
    """A row of a table.

    Attributes:
        title: What it is.
        given: To every contestant.
        texts: What decoders should find.
    """

    title: str
    given: dict[str, Any]
    texts: list[str] | None = None


@dataclass(frozen=True)
class Case:
    """Something that speech recognition does all the time.

    Attributes:
        name: That of the protocol.
        title: Of its table.
        unit: Of what is done, in JSON.
        names: Who takes part, ours first.
        inputs: Writes files to a folder; yields rows.
        num_threads: Threads to compute with; a row for each.
        has_memory: Whether the peak of memory is told.
        plan: How long to measure, where that is not the usual.
    """

    name: str
    title: str
    unit: str
    names: tuple[str, ...]
    inputs: Callable[[Path], Iterator[Input]]
    num_threads: tuple[int, ...] = (1,)
    has_memory: bool = False
    plan: dict[str, Any] = field(default_factory=dict)


def _training(folder: Path) -> Iterator[Input]:
    for shape in SHAPES:
        yield Input(str(shape), inputs.training(folder, shape, "default"))


def _log_mel(folder: Path) -> Iterator[Input]:
    yield Input("a minute in 12 utterances", inputs.training(folder, SHAPES[0], "default"))


def _loading(folder: Path) -> Iterator[Input]:
    for suffix in ("mp3", "opus"):
        yield Input(f"{suffix}, 60 utterances of 5 s", inputs.audio(folder, suffix))


def _greedy(folder: Path) -> Iterator[Input]:
    given, texts = inputs.posteriors(folder)
    yield Input("60 utterances of 5 s, 38 tokens", given, texts)


def _beam(folder: Path) -> Iterator[Input]:
    given, texts = inputs.posteriors(folder, number=20)
    yield Input(f"20 utterances of 5 s, 38 tokens, width {BEAM_WIDTH}", given | {"width": BEAM_WIDTH}, texts)


def _scoring(folder: Path) -> Iterator[Input]:
    yield Input("1,000,000 words, 10 % wrong", inputs.scoring(folder))


FRAMEWORKS = (OURS, "PyTorch", "PyTorch, compiled", "SpeechBrain", "TensorFlowASR")

CASES = (
    Case("training step", "A training step", "audio_s", FRAMEWORKS, _training, (2, 1), has_memory=True),
    Case("log-mel", "Log-mel energies, normalised", "audio_s", FRAMEWORKS, _log_mel, (2,)),
    Case(
        "loading",
        "Loading and batching compressed audio",
        "audio_s",
        (OURS, "PyTorch", "PyTorch, torchcodec", "SpeechBrain", "TensorFlowASR"),
        _loading,
        (2,),
        plan={"warm_up": 1},
    ),
    Case(
        "greedy decoding",
        "Greedy decoding",
        "audio_s",
        (OURS, "PyTorch", "SpeechBrain", "TensorFlowASR"),
        _greedy,
        plan={"warm_up": 1},
    ),
    Case(
        "beam search",
        "Beam search without a language model",
        "audio_s",
        (OURS, "pyctcdecode", "flashlight-text", "SpeechBrain", "TensorFlowASR"),
        _beam,
        plan={"warm_up": 1},
    ),
    Case(
        "scoring",
        "Word errors of a million words",
        "words",
        (OURS, "jiwer", "SpeechBrain"),
        _scoring,
        plan={"warm_up": 1, "min_rounds": 3},
    ),
)
