"""A toy member of each kind: all that is added for it, as it stands, and the tests that should find it."""

from adding import Member, Place

KINDS = "tests/settings/test_kinds.py"

CORPUS = Member(
    "a corpus",
    (
        Place(
            "data_scripts/toy.py",
            '''"""A folder with audio files and a table a split: `{train,dev,test}.tsv`."""

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, existing_folder
from data_scripts.tables import Row, Unusable, read_table, require_columns

LAYOUT = "{train,dev,test}.tsv with the columns file, text and speaker"


def records(part: Part) -> list[Record | Unusable] | None:
    """The rows of a split's table."""
    folder = existing_folder(part.corpus, LAYOUT)
    path = folder / f"{part.split}.tsv"
    if not path.is_file():
        return None
    table = read_table(path)
    require_columns(table, ("file", "text", "speaker"), "a table of this corpus")
    return [
        Record(row.cells["file"], folder / row.cells["file"], row.cells["text"], row.cells["speaker"], row.source)
        if isinstance(row, Row)
        else row
        for row in table.rows
    ]


CORPUS = Corpus("Toy", LAYOUT, "python -m data_scripts.toy corpora/toy data --language en", records)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
''',
        ),
        Place(
            "tests/data_scripts/tiny_corpora.py",
            '''

def toy(folder: Path) -> TinyCorpus:
    """`train.tsv` beside `train-0.wav`, ... and so on."""
    for split, durations_s in DURATIONS_S.items():
        rows = ["file\\ttext\\tspeaker"]
        for number, duration_s in enumerate(durations_s):
            write_tone(folder / f"{split}-{number}.wav", duration_s)
            rows.append(f"{split}-{number}.wav\\tSentence {number}.\\tann")
        (folder / f"{split}.tsv").write_text("\\n".join(rows) + "\\n", encoding="utf-8")
    return TinyCorpus(folder, "en", DURATIONS_S, {"ann"})
''',
            after="""    return TinyCorpus(folder, "sw", DURATIONS_S, {"spk0", "spk1", "spk2"})
""",
        ),
        Place("tests/data_scripts/tiny_corpora.py", '    "toy": toy,\n', after='    "mls": mls,\n'),
    ),
    ("tests/data_scripts/test_every_script.py",),
)

TOKENISER = Member(
    "a tokeniser",
    (
        Place(
            "speech_mtl/data/tokenizer.py",
            '''

class ToyTokenizer(Tokenizer):
    """Two letters a token; the last one of an odd number by itself."""

    def normalize(self, text: str) -> str:
        """The text as `data.text.normalize` leaves it."""
        return normalize(text, self.language)

    def split(self, normalized: str) -> Sequence[str]:
        return [normalized[start : start + 2] for start in range(0, len(normalized), 2)]
''',
        ),
        Place(
            "speech_mtl/settings/data.py",
            'Toy = TokenizerSettings.plain("toy", "data.tokenizer:ToyTokenizer")\n',
            after='Pinyin = TokenizerSettings.plain("pinyin", "data.pinyin:PinyinTokenizer")\n',
        ),
    ),
    ("tests/data/test_tokenizer.py", KINDS),
)

ENCODER = Member(
    "an encoder",
    (
        Place(
            "speech_mtl/models/toy.py",
            '''"""An encoder of layers that see one frame each."""

import keras

from speech_mtl.models.encoder import BlockEncoder
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.layers import Dropout


class ToyEncoder(BlockEncoder):
    """Dense layers over convolutional subsampling."""

    def __init__(
        self,
        num_layers: int,
        dim: int,
        channels: int,
        dropout: float,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        super().__init__(num_layers, dim, channels, dropout, random, parts, name)

    def make_block(self, number: int, name: str) -> keras.layers.Layer:  # noqa: ARG002
        return ToyBlock(self.dim, self.dropout, name)


class ToyBlock(keras.layers.Layer):
    """A dense layer beside an identity."""

    def __init__(self, dim: int, dropout: Dropout, name: str):
        super().__init__(name=name)
        self.dim, self.dropout = dim, dropout
        self.dense = self.last_layer = keras.layers.Dense(dim, activation="tanh", name="dense")

    def build(self, _shape):
        self.dense.build((None, self.dim))

    def call(self, inputs, context, training=False):
        return inputs + self.dropout(self.dense(inputs), training=training)
''',
        ),
        Place(
            "speech_mtl/settings/network.py",
            '''class ToySettings(OneEncoderSettings, kind="toy", makes="models.toy:ToyEncoder"):
    """See `models.toy.ToyEncoder`."""

    num_layers: Layers = 2
    """Dense layers."""
    dim: Size = 64
    """Width of the layers."""
    channels: Size = 16
    """Of the convolutions that shorten the sequence."""
    dropout: Proportion = 0.1
    """Fraction of activations that are set to zero in training."""


''',
            after="""            raise ValueError("dim must be even, half of it for each direction")
        return self


""",
        ),
        Place("tests/tiny_encoders.py", '    "toy": {"channels": 4},\n', after='    "recurrent": {"channels": 4},\n'),
    ),
    ("tests/models/test_encoders.py", "tests/backend/test_task_gradients.py", KINDS),
)

TARGET = Member(
    "a target besides transcripts",
    (
        Place(
            "speech_mtl/targets/toy.py",
            '''"""A number, learned by its absolute error."""

from keras import ops

from speech_mtl.targets.regression import Regression


class Toy(Regression):
    """A number, by regression with the absolute error, in standard deviations of the training labels."""

    def entry_losses(self, outputs, values):
        return ops.abs(outputs[..., 0] - values)
''',
        ),
        Place(
            "speech_mtl/settings/tasks.py",
            '''

class ToyTaskSettings(PooledTaskSection, kind="toy", makes="targets.toy:Toy"):
    """A number; see `targets.toy`."""
''',
        ),
        Place(
            "tests/targets/target_cases.py",
            """    "toy": Case(
        labels=AGES,
        values=[(age - statistics.fmean(AGES)) / statistics.pstdev(AGES) for age in AGES],
        perfect=lambda values: values[..., None],
        wrong_outputs=lambda outputs: outputs + 3,
        loss=lambda outputs, values: np.abs(outputs[..., 0] - values),
        best=0.0,
        no_labels=["30", True, None, NAN, float("inf"), [30]],
        useless=[[], [3, 3.0, 3]],
    ),
""",
            after="CASES: dict[str, Case] = {\n",
        ),
    ),
    ("tests/targets/test_every_target.py", "tests/targets/test_target.py", KINDS),
)

WEIGHTING = Member(
    "a loss weighting",
    (
        Place(
            "speech_mtl/training/weighting.py",
            '''

class Toy(Weighting):
    """The same weight for all.

    Args:
        objective: The tasks.
        weight: Of each.
    """

    def __init__(self, objective: Objective, weight: float, seed: int = 0):
        super().__init__(objective, seed)
        self.weight = weight

    def weights(self, update: int) -> np.ndarray:  # noqa: ARG002
        return np.full(self.size, self.weight)
''',
        ),
        Place(
            "speech_mtl/settings/training.py",
            '''

class ToyWeightingSettings(WeightingSettings, kind="toy", makes="training.weighting:Toy"):
    """See `training.weighting.Toy`."""

    weight: Positive = 2.0
    """Of each language and task."""
''',
        ),
    ),
    ("tests/training/test_weighting.py", KINDS),
)

COMBINING = Member(
    "a way to combine gradients",
    (
        Place(
            "speech_mtl/training/gradient_surgery.py",
            '''

class Toy(GradientSurgery):
    """All gradients are made as long as they are on average."""

    def combine(self, products: np.ndarray, generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        lengths = np.sqrt(np.diag(products))
        return lengths.mean() / lengths
''',
        ),
        Place(
            "speech_mtl/settings/training.py",
            'ToyGradients = GradientSettings.plain("toy", "training.gradient_surgery:Toy")\n',
            after='PCGrad = GradientSettings.plain("pcgrad", "training.gradient_surgery:PCGrad")\n',
        ),
    ),
    ("tests/training/test_gradient_surgery.py", KINDS),
)

UNFREEZING = Member(
    "a way to unfreeze layers",
    (
        Place(
            "speech_mtl/training/unfreezing.py",
            '''

class Toy(Unfreezing):
    """All but the lowest layer."""

    def group(self, depth: int) -> int | None:
        return 0 if depth else None

    def factors(self, update: int) -> np.ndarray:  # noqa: ARG002
        return np.ones(1)
''',
        ),
        Place(
            "speech_mtl/settings/training.py",
            'UnfreezeToy = UnfreezingSettings.plain("unfreeze_toy", "training.unfreezing:Toy")\n',
            after="UnfreezeHeads.freezes_encoder = True\n",
        ),
        Place(
            "speech_mtl/study/arms.py",
            '''@ARMS.add
def unfreeze_toy(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, with the lowest layer as it is; see `training.unfreezing`."""
    return _unfrozen(recipe, "unfreeze_toy")


''',
            after="""    return _unfrozen(recipe, "layerwise")


""",
        ),
    ),
    ("tests/training/test_unfreezing.py", "tests/study/test_arms.py", KINDS),
)

OPTIMISER = Member(
    "an optimiser",
    (
        Place(
            "speech_mtl/training/optimizer.py",
            '''

class Toy(FlatOptimizer):
    """Gradient descent with momentum."""

    moments: ClassVar = ("velocity",)

    def __init__(
        self,
        variables: list[keras.Variable],
        groups: Sequence[int] | None,
        weight_decay: float,
        clip_norm: float,
        average_decay: float,
        momentum: float,
    ):
        super().__init__(variables, groups, weight_decay, clip_norm, average_decay)
        self.momentum = momentum

    def direction(self, step, gradient, moments):  # noqa: ARG002
        velocity = self.momentum * moments[0] + gradient
        return velocity, [velocity]
''',
        ),
        Place(
            "speech_mtl/settings/training.py",
            '''

class ToyOptimizerSettings(OptimizerSettings, kind="toy", makes="training.optimizer:Toy"):
    """See `training.optimizer.Toy`."""

    momentum: Proportion = 0.9
    """What is left of the step before."""
''',
            after='AdamW = OptimizerSettings.plain("adamw", "training.optimizer:FlatAdamW")\n',
        ),
    ),
    ("tests/training/test_optimizer.py", KINDS),
)

DECODER = Member(
    "a decoder",
    (
        Place(
            "speech_mtl/decoding/toy.py",
            '''"""The best token of every frame, where it is probable enough."""

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

import numpy as np

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.decoder import Decoded, DecodedToken, Decoder


class Toy(Decoder):
    """Takes the most probable path without tokens whose mean probability is below `least`."""

    def __init__(self, vocabulary: Sequence[str], language: str, least: float):
        super().__init__(vocabulary, language)
        self.least = least

    def decode(self, log_probabilities: np.ndarray) -> Decoded:
        best, tokens, end = log_probabilities.max(axis=1).tolist(), [], 0
        for number, frames in groupby(log_probabilities.argmax(axis=1).tolist()):
            first, end = end, end + len(list(frames))
            mean = fmean(best[first:end])
            if number != BLANK and np.exp(mean) >= self.least:
                tokens.append(DecodedToken(number, first, end - 1, mean))
        return Decoded(tuple(tokens), fmean(best) if best else 0.0)
''',
        ),
        Place(
            "speech_mtl/settings/decoding.py",
            ", Proportion",
            after="from speech_mtl.settings.section import WHOLE, Kinds, Positive",
        ),
        Place(
            "speech_mtl/settings/decoding.py",
            '''

class ToyDecodingSettings(DecodingSettings, kind="toy", makes="decoding.toy:Toy"):
    """See `decoding.toy.Toy`."""

    least: Proportion = 0.01
    """Mean probability of a token below which it is left out."""
''',
        ),
    ),
    ("tests/decoding/test_every_decoder.py", KINDS),
)

FORMAT = Member(
    "an output format",
    (
        Place(
            "speech_mtl/decoding/writers.py",
            '''

def toy(hypotheses: Sequence[Hypothesis], _: Labels, __: float) -> str:
    """The recording and its text, with a bar between them."""
    return _lines(f"{cell(one.id)} | {one.text}" for one in hypotheses)
''',
            after=r"""    return "".join(["WEBVTT\n\n", *cues])
""",
        ),
        Place("speech_mtl/decoding/writers.py", '"toy": toy, ', after="WRITERS: dict[str, Writer] = {**LABELLED, "),
    ),
    ("tests/decoding/test_writers.py",),
)

ARM = Member(
    "an arm",
    (
        Place(
            "speech_mtl/study/arms.py",
            '''@ARMS.add
def toy(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, at half the learning rate."""
    first, last = pretrain_finetune(recipe)
    rate = last.recipe.training.learning_rate / 2
    return [first, Stage(_named("toy", recipe), last.recipe.overridden({"training.learning_rate": rate}), first.name)]


''',
            after="""    return [replace(stage, name=_named("middle", recipe))]


""",
        ),
    ),
    ("tests/study/test_arms.py", "tests/study/test_controls.py", "tests/study/test_protocols.py"),
)

CONTROL = Member(
    "a control",
    (
        Place(
            "speech_mtl/settings/study.py",
            '''    toy: Switch = False
    """Each arm with auxiliary languages once more, with shorter gradients."""
''',
            after='''    """Each arm with auxiliary languages once more without each of them in turn."""
''',
        ),
        Place(
            "speech_mtl/study/statistics/rows.py",
            ', "toy": "_toy"',
            after='"leave_one_out": "_without"',
        ),
        Place("speech_mtl/study/statistics/rows.py", ', "toy"', after='"shuffled_transcripts", "leave_one_out"'),
        Place(
            "speech_mtl/study/controls.py",
            """        if controls.toy:
            found[replace(arm, control="toy")] = _changed(
                stages, "toy", lambda recipe: recipe.overridden({"training.clip_norm": 0.5})
            )
""",
            after="        if arm == REFERENCE_ARM:\n            continue\n",
        ),
    ),
    ("tests/study/test_controls.py",),
)

FEATURES = Member(
    "features",
    (
        Place(
            "speech_mtl/models/features.py",
            '''

class Toy(MelFeatures):
    """Cube roots of mel energies."""

    def __init__(self, sample_rate_hz: int, num_mels: int):
        super().__init__(sample_rate_hz, num_mels, window=400, hop=160, fft_size=512)

    def scaled(self, energies, mask, num_frames, past):  # noqa: ARG002
        return ops.power(energies + 1e-6, 1 / 3)
''',
        ),
        Place("speech_mtl/settings/features.py", '\nToyFeatures = MelSettings.plain("toy", "models.features:Toy")\n'),
    ),
    ("tests/models/test_features.py", KINDS),
)

TOYS = (
    CORPUS,
    TOKENISER,
    FEATURES,
    ENCODER,
    TARGET,
    WEIGHTING,
    COMBINING,
    UNFREEZING,
    OPTIMISER,
    DECODER,
    FORMAT,
    ARM,
    CONTROL,
)

ALL_TOGETHER = Place(
    "tests/run/test_toys.py",
    '''"""One run of all toy members: planned, trained for two updates, evaluated, and used."""

from collections.abc import Callable
from pathlib import Path

from speech_mtl.decoding.writers import WRITERS
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.plan import plan_comparison


def test_toys_work_together(
    tiny_recipe: Recipe, make_corpus: Callable, speak: Callable, tmp_path: Path, untraced: None
):
    toy = {"kind": "toy"}
    changes = {
        "data.dir": make_corpus(labels={"toy": (1.0, 3.0)}),
        "languages": {"aa": {"tokenizer": toy}, "bb": {}},
        "tasks": {"toy": toy},
        "weighting": toy,
        "gradients": toy,
        "features": {**toy, "num_mels": 20},
        "encoder": {**toy, "dim": 8, "channels": 4},
        "training.optimizer": toy,
        "training.unfreezing": {"kind": "unfreeze_toy"},
        "training.num_updates": 2,
        "decoding": toy,
        "compare.arms": ["alone", "toy", "unfreeze_toy"],
        "compare.controls.toy": True,
    }
    recipe = tiny_recipe.overridden(changes)
    plan = plan_comparison(recipe, tmp_path / "out")
    assert sorted(str(cell.arm) for cell in plan.cells) == [
        *("alone", "toy", "toy_toy", "unfreeze_toy", "unfreeze_toy_toy")
    ]
    run = train(recipe, tmp_path / "run")
    assert run.progress().update == 2
    assert {row["language"] for row in evaluate(run, ["dev"])} == {"aa", "bb"}
    recognizer = load_recognizer(run)
    model = recognizer.model
    members = [model.features, model.encoder, recognizer.tasks["toy"], recognizer.decoder("aa")]
    assert [type(one).__name__ for one in members] == ["Toy", "ToyEncoder", "Toy", "Toy"]
    assert type(recognizer.tokenizers["aa"]).__name__ == "ToyTokenizer"
    assert WRITERS["toy"](recognizer.transcribe([speak("abcd")], "aa", ["x.wav"]), [{}], 1.0).startswith("x.wav | ")
''',
)
"""A test that uses all members at once, but for the corpus."""

TOGETHER = (
    "tests/settings",
    "tests/decoding",
    "tests/targets",
    "tests/training",
    "tests/data/test_tokenizer.py",
    "tests/data_scripts/test_every_script.py",
    "tests/study/test_arms.py",
    "tests/study/test_controls.py",
    "tests/study/test_protocols.py",
)
"""Tests that pass with all members in the package: nothing else lists what there is of a kind."""
