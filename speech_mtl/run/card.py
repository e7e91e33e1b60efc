"""Model cards: the README.md of an exported or packed run, as Hugging Face shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from speech_mtl.data.languages import language_and_script
from speech_mtl.errors import InputError
from speech_mtl.export.network import TOLERANCE
from speech_mtl.files import read_json
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.evaluated import MadeWith, SavedEvaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import trained_on
from speech_mtl.run.public_models import described, recorded
from speech_mtl.scoring.tables import MISSING, escaped, evaluation_table, markdown_table

ONNX = """\
`{model}` takes waveforms of {rate} Hz in [-1, 1] and gives log-probabilities of the tokens in `tokens.txt`.

With onnxruntime, numpy and soundfile:

    pip install onnxruntime numpy soundfile
    python transcribe.py recording.wav
"""

SHERPA = """
With sherpa-onnx, as a model of the type that it calls `omnilingual`, which takes waveforms (these are not weights of
that one). It normalises the samples; the network undoes that but for their mean, above -50 dB of full scale:

    sherpa-onnx-offline --omnilingual-asr-model={model} --tokens=tokens.txt recording.wav

    import sherpa_onnx
    recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(model="{model}", tokens="tokens.txt")
"""

PARTS = """
The tokens are parts of letters: joined, they become the text by the replacements under `joined` in `metadata.json`, all
made in one go, and Unicode's form NFC, as `transcribe.py` does it. Programs that only join tokens show the parts.
"""

LITERT = """\
`{model}` takes one waveform (1, samples) of {rate} Hz in [-1, 1] and gives log-probabilities (1, frames, tokens) of the
tokens in `tokens.txt`:

    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter("{model}")
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], waveform.shape)
    interpreter.allocate_tensors()
"""

SAVED = """\
`{model}` takes waveforms (batch, samples) of {rate} Hz in [-1, 1] and their lengths, and gives log-probabilities of the
tokens in `tokens.txt`:

    model = tensorflow.saved_model.load("{model}").signatures["serving_default"]
    found = model(waveforms=waveforms, num_samples=num_samples)
    found["log_probs"], found["num_frames"]
"""

PACKED = """\
    pip install 'speech-mtl[tensorflow]'
    speech-mtl transcribe FOLDER --language {language} recording.wav

In place of FOLDER stands this folder or, where it is on Hugging Face, `hf://USER/NAME`.
"""

SAME = f"Log-probabilities differ from those of the original network by at most {TOLERANCE:g}, on noise and on speech."
INT8 = "Matrices of the encoder are stored and multiplied in 8 bits: errors may be a little higher than those below."


def export_card(run: Run, name: str, metadata: Mapping[str, Any], licence: str | None) -> str:
    """The card of one language in another program's format."""
    form, language, rate = metadata["format"], metadata["language"], metadata["sample_rate_hz"]
    has_parts = bool(metadata["joined"])
    use = {"onnx": ONNX + SHERPA * (rate == 16_000 and not has_parts), "litert": LITERT, "savedmodel": SAVED}[form]
    use = (use + PARTS * has_parts).format(model=metadata["model"], rate=rate)
    return _card(run, name, [language], [form], licence, f"{use}\n{INT8 if metadata['int8'] else SAME}")


def run_card(run: Run, name: str, licence: str | None) -> str:
    """The card of a packed run."""
    languages = list(run.recipe().languages)
    return _card(run, name, languages, ["keras"], licence, PACKED.format(language=languages[0]))


def _card(run: Run, name: str, languages: Sequence[str], tags: Sequence[str], licence: str | None, use: str) -> str:
    recipe, parameters = run.recipe(), run.parameters()
    size = f" of {parameters['total'] / 1e6:.1f} million parameters" if parameters else ""
    codes = list(dict.fromkeys(language_and_script(language)[0] for language in languages))
    head = ["language:", *(f"- {code}" for code in codes), *([f"license: {licence.lower()}"] if licence else [])]
    head += ["library_name: speech-mtl", "pipeline_tag: automatic-speech-recognition", "tags:"]
    head += [f"- {tag}" for tag in ("speech-mtl", "ctc", *tags)]
    about = f"\n\n{escaped(recipe.about)}" if recipe.about else ""
    parts = [
        "---\n" + "\n".join(head) + "\n---",
        f"# {escaped(name)}\n\nRecognises speech in {', '.join(languages)}: a network ({recipe.encoder.kind}){size} "
        f"that was trained with CTC on the languages below, which share it.{about}",
        f"## Use\n\n{use.rstrip()}",
        f"## Training speech\n\n{_speech_table(run)}",
        "## Errors\n\n" + _error_table(run, languages, greedy="keras" not in tags),
        f"## Licence\n\n{escaped(licence) if licence else 'Not stated. Ask who gave you this.'}{_public_models(run)}",
    ]
    return "\n\n".join(parts) + "\n"


def _public_models(run: Run) -> str:
    """The public models that the network started from or gets its features from."""
    lines = [f"- {escaped(line)}" for line in described(recorded(run))]
    return "\n\nMade with:\n\n" + "\n".join(lines) if lines else ""


def _speech_table(run: Run) -> str:
    """Hours, utterances and speakers by language, as far as the manifests are there."""
    utterances: dict[str, dict[tuple[str, str], tuple[float, str | None]]] = {}
    for part in trained_on([run], run.recipe().data.cache_dir, teachers=False):
        own = utterances.setdefault(part.language, {})
        own |= {(str(part.path), one.id): (one.duration_s, one.speaker) for one in part.utterances()}
    lines = []
    for language in dict.fromkeys([*run.recipe().languages, *utterances]):
        own = utterances.get(language, {}).values()
        speakers = {speaker for _, speaker in own if speaker is not None}
        known = [f"{sum(seconds for seconds, _ in own) / 3600:.2f}", str(len(own)), str(len(speakers) or MISSING)]
        lines.append([language, *(known if own else [MISSING] * 3)])
    table = markdown_table(["Language", "Hours", "Utterances", "Speakers"], lines, num_text_columns=1)
    return table + ("\n\nA dash stands for what is not known." if MISSING in table else "")


def _error_table(run: Run, languages: Sequence[str], greedy: bool) -> str:
    """The errors of the last evaluation; `greedy`: whether what the card is of decodes greedily."""
    saved = SavedEvaluation(run)
    if not saved.path.is_file():
        return "Not evaluated."
    rows = [row for row in saved.rows() if row["language"] in languages]
    if not rows:
        return "Not evaluated in " + ", ".join(languages) + "."
    try:
        made_with = read_json(saved.evaluated_path, MadeWith)
    except InputError:
        return "Not evaluated by this version of speech-mtl."
    if made_with["weights"] != weights_digest(run):
        return "Not evaluated since its weights changed."
    decoder = dict(made_with["decoder"])
    if greedy and decoder["kind"] != "greedy":
        return f"Evaluated by other decoding (kind={decoder['kind']}) only, which needs speech-mtl."
    models = ", with the n-grams in lm/" if decoder.pop("language_models", None) else ""
    settings = ", ".join(f"{key}={value}" for key, value in decoder.items())
    return f"{evaluation_table(rows)}\n\nOf the original network. Decoding: {escaped(settings)}{models}."
