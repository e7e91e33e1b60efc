from pathlib import Path

import pytest

from speech_mtl.errors import InputError
from speech_mtl.settings.data import LanguageSettings, Pinyin
from speech_mtl.settings.network import ConformerSettings, RecurrentSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import load_recipe
from speech_mtl.settings.training import TrainingSettings

SMALLEST = "name: x\nlanguages: {cs: {}}\ndata: {dir: data/x}\n"


def recipe_file(tmp_path: Path, text: str = SMALLEST) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str = SMALLEST, overrides: list[str] | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load_recipe(recipe_file(tmp_path, text), overrides)
    return caught.value


def test_smallest(tmp_path):
    path = recipe_file(tmp_path)
    recipe = load_recipe(path)
    assert recipe == load_recipe(tmp_path), "a folder stands for its recipe.yaml"
    assert recipe.data.dir == Path("data/x")
    assert recipe.languages == {"cs": LanguageSettings()}
    assert recipe.encoder == ConformerSettings()
    assert (recipe.target, recipe.seed) == (None, 0)


def test_yaml_1_2(tmp_path):
    """In YAML 1.1 `no`, `on` and `off` are truth values and 3e-4 is a word."""
    text = """
name: on
about: off
target: no
languages: {no: {}, nn: {budget_s: 6e2}, yes: {}}
data: {dir: 12:30:45, alpha: 1}
training: {learning_rate: 3e-4, weight_decay: 1E-2, num_updates: 010}
"""
    recipe = load_recipe(recipe_file(tmp_path, text))
    assert (recipe.name, recipe.about, recipe.target) == ("on", "off", "no")
    assert list(recipe.languages) == ["no", "nn", "yes"]
    assert recipe.languages["nn"].budget_s == 600.0
    assert recipe.training.learning_rate == 0.0003
    assert recipe.training.weight_decay == 0.01
    assert recipe.training.num_updates == 10
    assert load_recipe(recipe_file(tmp_path), ["training.learning_rate=5e-4"]).training.learning_rate == 0.0005


@pytest.mark.parametrize(
    ("override", "unknown", "near"),
    [
        ("training.learning_rat=1e-3", "training.learning_rat", "training.learning_rate"),
        ("trainin.num_updates=5", "trainin", "training"),
        ("data.batchs=5", "data.batchs", "data.batch_s"),
        ("languages.cs.budgets=5", "languages.cs.budgets", "languages.cs.budget_s"),
        ("languages.cs.tokeniser={kind: pinyin}", "languages.cs.tokeniser", "languages.cs.tokenizer"),
        ("augment.spec_augment.max_mel=5", "augment.spec_augment.max_mel", "augment.spec_augment.max_mels"),
        ("encoder={kind: conformer, kernel: 3}", "encoder.kernel", "encoder.kernel_size"),
        ("encoder={kind: recurrent, cel: gru}", "encoder.cel", "encoder.cell"),
        ("tasks={mood: {lable: x}}", "tasks.mood.lable", "tasks.mood.label"),
        (
            "augment.waveform={noise: {kind: noise, dir: x, probability: 0.5, snr: 5}}",
            "augment.waveform.noise.snr",
            "augment.waveform.noise.snr_db",
        ),
        (
            "compare.decoders={beam: {kind: beam, widht: 5}}",
            "compare.decoders.beam.widht",
            "compare.decoders.beam.width",
        ),
    ],
)
def test_unknown_key(override, unknown, near, tmp_path):
    error = refused(tmp_path, overrides=[override])
    assert repr(unknown) in error.problem
    assert error.problem.startswith("the command line: ")
    assert error.received == unknown
    assert near.rsplit(".", maxsplit=1)[-1] in error.expected.removeprefix("one of ").split(", ")
    assert error.action == f"did you mean {near!r}?"


def test_unknown_key_that_is_near_to_none(tmp_path):
    error = refused(tmp_path, SMALLEST + "zzzzzz: 1\n")
    assert "'zzzzzz'" in error.problem
    assert error.action == "remove the key"


@pytest.mark.parametrize("key", ["kind: x", "[key]"])
def test_unknown_key_that_looks_like_what_pydantic_adds(key, tmp_path):
    error = refused(tmp_path, SMALLEST + f"'{key}': 1\n")
    assert error.problem.endswith(f"recipe.yaml:4: unknown key {key!r}")


@pytest.mark.parametrize(
    ("overrides", "key", "kinds"),
    [
        (["decoding.width=5"], "decoding.width", "decoding.kind=beam"),
        (["encoder.kind=recurrent", "encoder.num_heads=4"], "encoder.num_heads", "encoder.kind=conformer"),
        (["encoder.columns=[]"], "encoder.columns", "encoder.kind=progressive"),
        (
            ["encoder={kind: progressive, columns: [{languages: [cs], encoder: {cell: gru}}]}"],
            "encoder.columns.0.encoder.cell",
            "encoder.columns.0.encoder.kind=recurrent",
        ),
        (
            ["languages.cs.tokenizer.size=100"],
            "languages.cs.tokenizer.size",
            "languages.cs.tokenizer.kind=bpe or languages.cs.tokenizer.kind=unigram",
        ),
    ],
)
def test_a_key_of_another_kind(overrides, key, kinds, tmp_path):
    error = refused(tmp_path, overrides=overrides)
    assert error.problem.removesuffix(" (and 1 more)") == f"the command line: unknown key {key!r}"
    assert (error.expected, error.action) == (kinds, "choose such a kind, or remove the key")


def test_an_unknown_kind_is_told_as_it_was_typed(tmp_path):
    error = refused(tmp_path, overrides=["decoding.kind=bean"])
    assert (error.expected, error.received) == ("one of the kinds 'greedy', 'beam'", "'bean'")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("training.num_updates=many", "training.num_updates"),
        ("training.num_updates=0", "training.num_updates"),
        ("training.num_updates=1.5", "training.num_updates"),
        ("training.learning_rate=-1e-3", "training.learning_rate"),
        ("data.alpha=1.5", "data.alpha"),
        ("data.allow_skipped=1", "data.allow_skipped"),
        ("data.dir=5", "data.dir"),
        ("languages={}", "languages"),
        ("languages.cs.budget_s=0", "languages.cs.budget_s"),
        ("languages.cs.tokenizer={kind: words}", "languages.cs.tokenizer.kind"),
        ("languages.cs.replace=silence", "languages.cs.replace"),
        ("languages={noise: {budget_s: 0}}", "languages.noise.budget_s"),
        ("augment.waveform={noise: {kind: noise, dir: x, probability: 2}}", "augment.waveform.noise.probability"),
        ("encoder={kind: conformer, dropout: 1.0}", "encoder.dropout"),
        ("encoder={kind: transformer}", "encoder.kind"),
        ("decoding.kind=none", "decoding.kind"),
        ("training.optimizer={kind: sgd}", "training.optimizer.kind"),
        ("training.optimizer={kind: [1]}", "training.optimizer.kind"),
        ("encoder={kind: recurrent, cell: rnn}", "encoder.cell"),
        ("compare.seeds=[0, x]", "compare.seeds.1"),
        ("compare.seeds=[0, -1]", "compare.seeds.1"),
        ("seed=-1", "seed"),
        ("seed=4294967296", "seed"),
        ("data.subset_seed=-1", "data.subset_seed"),
        ("augment.speeds=[]", "augment.speeds"),
        ("augment.noise_snr_db=[30, 10]", "augment.noise_snr_db"),
        ("tasks={a/b: {}}", "tasks.a/b"),
        ("tasks={my mood!: {}}", "tasks"),
        ("tasks={'..': {}}", "tasks..."),
        ("languages={../x: {}}", "languages.../x"),
        ("languages={/tmp/x: {}}", "languages./tmp/x"),
        ("compare.variants={a/b: {}}", "compare.variants.a/b"),
        ("name=''", "name"),
        ("name=..", "name"),
        ("name=2026", "name"),
        ("seed=true", "seed"),
        ("seed='5'", "seed"),
        ("data.batch_s=true", "data.batch_s"),
        ("data.batch_s=.inf", "data.batch_s"),
        ("training.log_conflicts=1", "training.log_conflicts"),
        ("languages.cs.train=no", "languages.cs.train"),
        ("data.dir=''", "data.dir"),
        ("data.dir=~/x", "data.dir"),
        ('data.cache_dir="a\\0b"', "data.cache_dir"),
        ('about="\\e[2J"', "about"),
        (f"init_from={'x' * 256}", "init_from"),
        ("languages.cs.manifests={train: ''}", "languages.cs.manifests.train"),
        ("tune.weights={cs: [1, .inf]}", "tune.weights.cs.1"),
        ("name=null", "name"),
    ],
)
def test_wrong_value(override, key, tmp_path):
    error = refused(tmp_path, overrides=[override])
    assert f": {key} is not right" in error.problem
    assert error.expected


CAUSAL = ["features.normalize=running_mean"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["languages={cs: {train: false}}"], "at least one of the languages must be trained"),
        (["languages={cs: {train: false}, de: {}}", "target=cs"], "languages.cs.train is false, but it is the target"),
        (["languages.cs.output_layer=keep"], "without init_from there is no output layer to keep"),
        (["languages={cs: {train: false}, de: {}}", "target=de"], "without init_from"),
        (["languages={cs: {share: 0.5}}"], "add up to 0.5: that must be 1"),
        (["languages={cs: {share: 0.5}, de: {share: 0.4}}"], "add up to 0.9: that must be 1"),
        (["languages={cs: {share: 0.6}, de: {share: 0.4}, pl: {}}"], "add up to 1: that must be 1 if every"),
        (["sharing={kind: bottom, num_own: 6}"], "leaves none of the encoder's 6 blocks"),
        (["sharing={kind: middle, num_own: 4}"], "leaves none of the encoder's 6 blocks"),
        (["sharing={kind: middle}", "adapters={}"], "adapters are added to a shared encoder"),
        (["adapters={languages: [pl]}"], "adapters.languages must be some of the recipe's languages"),
        (["encoder={kind: recurrent}", "adapters={kind: low_rank}"], "added to attention, which this encoder has not"),
        (["gradients={kind: pcgrad}", "training.unfreezing={kind: heads}"], "gradients needs gradients in the"),
        (["weighting={kind: gradnorm}", "sharing={kind: nothing}"], "weighting.kind: gradnorm needs gradients in"),
        (["training.log_conflicts=true", "sharing={kind: nothing}"], "training.log_conflicts needs gradients in"),
        (["training.log_conflicts=true", "training.part_s=5"], "training.log_conflicts needs each task's gradient"),
        (["gradients={kind: pcgrad}", "training.part_s=5"], "gradients needs each task's gradient of the whole batch"),
        (["weighting={kind: gradnorm}", "gradients={kind: cagrad}"], "gradients must be null"),
        (["weighting={kind: gradnorm}", "tasks={age: {kind: number, at: block_0}}"], "set tasks.age.at=top"),
        (["training.learning_rate=1e-6"], "final_learning_rate must be at most training.learning_rate = 1e-06"),
        (["data.min_duration_s=30"], "data.min_duration_s must be less than data.max_duration_s = 30"),
        (["data.sample_rate_hz=48000"], "window_s * data.sample_rate_hz = 1200 must be at most features.fft_size"),
        (["features.hop_s=0.03"], "features.hop_s must be at most features.window_s"),
        (["features.num_mels=200"], "features.num_mels = 200 are too many bands"),
        (
            ["features.num_mels=19", "augment.spec_augment.num_frequency_masks=1"],
            "augment.spec_augment.max_mels must be at most features.num_mels = 19",
        ),
        (["features.normalize=none", "augment.spec_augment.num_time_masks=1"], "set features.normalize=mean"),
        (["encoder.chunk_size=16"], "set features.normalize=running_mean"),
        (["encoder.chunk_size=16", "features.normalize=mean_variance"], "set features.normalize=running_mean"),
        (["encoder={kind: recurrent, chunk_size: 16}"], "encoder.kind=conformer"),
        (["encoder={kind: whisper, dir: x, chunk_size: 16}"], "encoder.kind=conformer"),
        (["encoder={kind: progressive, chunk_size: 2, columns: [{languages: [cs]}]}"], "encoder.kind=conformer"),
        (
            ["encoder={kind: progressive, columns: [{languages: [cs], encoder: {chunk_size: 2}}]}", *CAUSAL],
            "columns have no chunks",
        ),
        (
            ["encoder={kind: progressive, columns: [{languages: [cs], encoder: {upsampling: 2}}]}"],
            "encoder.columns.*.encoder.upsampling must be 1",
        ),
        (
            ["encoder={kind: progressive, columns: [{languages: [cs], encoder: {channels: 0}}, {languages: [de]}]}"],
            "encoder.channels must be 0 in all columns or in none",
        ),
        (["encoder.upsampling=2", "sharing={kind: bottom}"], "encoder.upsampling is shared"),
        (["encoder.upsampling=2", "sharing={kind: nothing}"], "encoder.upsampling is shared"),
        (["data.decode_once=false", "data.require_all_labels=true"], "must be true: data.require_all_labels needs"),
        (["data.decode_once=false", "languages={cs: {replace: noise}}"], "must be true: languages.cs.replace needs"),
        (["data.decode_once=false", "languages={cs: {keep_transcripts: 0.5}}"], "languages.cs.keep_transcripts needs"),
        (["data.decode_once=false", "languages={cs: {pseudo_labels: {teacher: x}}}"], "cs.pseudo_labels needs audio"),
        (["languages={en: {}, EN: {}}"], "en and EN are one"),
        (["languages={zh-CN: {}, eng: {}, en: {}}"], "eng and en are one"),
        (["languages={zh-CN: {}, zh-cn: {}}"], "zh-CN and zh-cn are one"),
        (["languages={zh_CN: {}}"], "write zh-CN"),
        (["languages={../../x: {}}"], "a name for files"),
        (["languages={'': {}}"], "a name for files"),
        (["languages={" + "a" * 300 + ": {}}"], "a name for files"),
    ],
)
def test_settings_that_do_not_go_together(overrides, expected, tmp_path):
    assert expected in refused(tmp_path, overrides=overrides).expected


@pytest.mark.parametrize(
    "overrides",
    [
        ["languages={cs: {share: 0.6}, de: {share: 0.4}}"],
        ["languages={cs: {share: 0.6}, de: {}}"],
        ["encoder.chunk_size=16", *CAUSAL],
        ["encoder.chunk_size=1", "encoder.left_chunks=0", "features.normalize=none"],
        ["sharing={kind: bottom, num_own: 5}"],
        ["sharing={kind: middle, num_own: 3}"],
        ["languages={cs: {train: false}, de: {}}", "init_from=runs/x"],
        ["training.log_conflicts=true", "training.unfreezing={kind: heads}"],
        ["weighting={kind: gradnorm}", "training.log_conflicts=true"],
        ["weighting={kind: gradnorm}", "tasks={age: {kind: number}}"],
        ["seed=4294967295", "augment.noise_snr_db=[10, 10]"],
        ["tasks={mood-2.b_C: {label: my mood!}}"],
        ["training.num_updates=1e4", "seed=5.0", "data.batch_s=30"],
        ["languages={con: {}, aux: {}, nul: {}}"],
        ["name=příklad 日本語", "compare.variants={2020-01-01: {seed: 1}}", "about=2020-01-01"],
        ["languages={zh-CN: {}, zh-TW: {}, pt: {}, pt-BR: {}, JPN: {manifest_languages: [ja_JP]}}"],
    ],
)
def test_settings_that_do(overrides, tmp_path):
    load_recipe(recipe_file(tmp_path), overrides)


def test_what_was_received(tmp_path):
    assert refused(tmp_path, overrides=["training.num_updates=many"]).received == "'many'"
    error = refused(tmp_path, "name: x\nlanguages: {cs: {}}\n")
    assert "data is not right" in error.problem
    assert error.received == "nothing"
    error = refused(tmp_path, overrides=["training.num_updates=many", "data.alpha=7"])
    assert "and 1 more" in error.problem


def test_encoder_checks(tmp_path):
    error = refused(tmp_path, overrides=["encoder={kind: conformer, dim: 100, num_heads: 4}"])
    assert "multiple of 2 * num_heads = 8" in error.expected
    error = refused(tmp_path, overrides=["encoder={kind: recurrent, dim: 7}"])
    assert "even" in error.expected


def test_target_is_a_language_or_a_task(tmp_path):
    assert "one of the languages or tasks: cs" in refused(tmp_path, SMALLEST + "target: de\n").expected
    assert load_recipe(recipe_file(tmp_path), ["tasks={mood: {}}", "target=mood"]).target == "mood"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("tasks: {cs: {}}", "must not have the name of a language: cs"),
        ("tasks: {transcript: {}}", "stands for transcripts"),
        ("tasks: {a: {label: x, keep_labels: 0.5}, b: {label: x}}", "the same keep_labels"),
        ("weighting: {kind: fixed, weights: {cs: 1, de: 2}}", "weighting.weights names de"),
    ],
)
def test_tasks_and_weights_fit_together(tmp_path, lines, problem):
    assert problem in refused(tmp_path, SMALLEST + lines + "\n").expected


def test_a_task_may_have_the_name_of_a_kind(tmp_path):
    error = refused(tmp_path, SMALLEST + "tasks: {number: {kind: number, pooling: last}}\n")
    assert "tasks.number.pooling is not right" in error.problem


def test_weights_go_with_their_language(tmp_path):
    recipe = load_recipe(
        recipe_file(tmp_path),
        ["languages={cs: {}, de: {}}", "weighting={kind: fixed, weights: {cs: 2, de: 3}}"],
    )
    alone = recipe.with_languages({"cs": recipe.languages["cs"]}, {"training.num_updates": 3})
    assert alone.weighting.model_dump() == {"kind": "fixed", "weights": {"cs": 2.0}}
    assert (list(alone.languages), alone.training.num_updates) == (["cs"], 3)


def test_overrides(tmp_path):
    recipe = load_recipe(
        recipe_file(tmp_path),
        [
            "training.num_updates=7",
            "languages.zh-CN.tokenizer.kind=pinyin",
            "encoder.kind=recurrent",
            "encoder.dim=32",
            "augment.speeds=[1.0]",
            "target=zh-CN",
            "about=a = b",
            "training.num_updates=8",
        ],
    )
    assert recipe.training.num_updates == 8, "the last one counts"
    assert list(recipe.languages) == ["cs", "zh-CN"]
    assert recipe.languages["zh-CN"].tokenizer == Pinyin()
    assert recipe.encoder == RecurrentSettings(dim=32)
    assert recipe.augment.speeds == (1.0,)
    assert recipe.about == "a = b"


def test_null_leaves_a_language_out(tmp_path):
    text = SMALLEST.replace("{cs: {}}", "{cs: {}, de: {}}")
    assert list(load_recipe(recipe_file(tmp_path, text), ["languages.de=null"]).languages) == ["cs"]
    assert refused(tmp_path, overrides=["languages.de=null"]).problem == "the command line: languages.de is not right"
    assert "languages.de" in refused(tmp_path, SMALLEST.replace("{cs: {}}", "{cs: {}, de: }")).problem, "no {} in YAML"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("=x", "'' is no key"),
        ("data..dir=x", "'data..dir' is no key"),
        (".=x", "'.' is no key"),
        ("a" + ".b" * 100_000 + "=x", "is no key"),
        ("name.x=5", "leads into name"),
        ("augment.speeds.0=1.1", "leads into augment.speeds"),
        ("data.dir.x.y=1.1", "leads into data.dir"),
        ("languages.cs.budget_s=", "has no value"),
        ("about=  ", "has no value"),
        ("seed=!!int abc", "not YAML"),
        ("target=!!bool x", "not YAML"),
        ("name=2026-13-01", "not YAML"),
        ("about=" + "x" * 1_000_000, "too long"),
        ("training.x" + "x" * 100_000 + "=1", "unknown key"),
        ("seed=\x1b[2J", "not YAML"),
        ("name=\udcff", "not YAML"),
    ],
)
def test_overrides_that_are_no_settings(override, problem, tmp_path):
    text = SMALLEST + "augment: {speeds: [1.0]}\n"
    error = refused(tmp_path, text, [override])
    assert problem in error.problem
    assert len(str(error)) < 10_000
    assert "\x1b" not in str(error)
    str(error).encode()


def test_a_key_of_another_section_is_found(tmp_path):
    assert refused(tmp_path, overrides=["batch_s=40"]).action == "did you mean 'data.batch_s'?"
    several = refused(tmp_path, overrides=["num_updates=40"]).action
    assert several.startswith("did you mean 'training.num_updates' or 'training.unfreezing.num_updates' or ")
    assert refused(tmp_path, overrides=["budget_s=40"]).action == "did you mean 'languages.LANGUAGE.budget_s'?"
    assert refused(tmp_path, overrides=["seeds=[0, 1]"]).action == "did you mean 'compare.seeds' or 'seed'?"


def test_a_wrong_value_has_its_line(tmp_path):
    text = SMALLEST + "training:\n  num_updates: 5\n  learning_rate: fast\naugment:\n  speeds:\n    - 1.0\n    - 9\n"
    path = tmp_path / "recipe.yaml"
    assert refused(tmp_path, text).problem.startswith(f"{path}:10: augment.speeds.1 is not right")
    fixed = ["augment.speeds=[1.0]"]
    assert refused(tmp_path, text, fixed).problem.startswith(f"{path}:6: training.learning_rate is not right")
    assert refused(tmp_path, "name: x\n").problem.startswith(f"{path}: languages is not right")
    named_like_its_kind = SMALLEST + "compare:\n  decoders:\n    beam:\n      kind: beam\n      width: wide\n"
    key = "compare.decoders.beam.width"
    assert refused(tmp_path, named_like_its_kind).problem == f"{path}:8: {key} is not right"


def test_what_an_alias_stands_for_is_a_value_of_its_own(tmp_path):
    text = SMALLEST + "compare:\n  variants:\n    a: &a {training: {num_updates: 5}}\n    b: *a\n"
    recipe = load_recipe(recipe_file(tmp_path, text), ["compare.variants.a.training.num_updates=7"])
    assert recipe.compare.variants["b"] == {"training": {"num_updates": 5}}


def test_no_number_of_a_variant_becomes_null(tmp_path):
    recipe = load_recipe(recipe_file(tmp_path), ["compare.variants={x: {languages.cs.budget_s: .inf}}"])
    copy = recipe.overridden({"seed": 1})
    with pytest.raises(InputError, match=r"languages\.cs\.budget_s is not right"):
        copy.overridden(copy.compare.variants["x"], where="compare.variants.x")


def test_warm_up_and_cooldown_are_compared_as_they_are_in_the_end():
    recipe = Recipe.model_validate({"name": "x", "languages": {"cs": {}}, "data": {"dir": "d"}})
    assert recipe.training.warmup_updates is None
    given = recipe.overridden({"training.warmup_updates": 200, "training.cooldown_updates": 500})
    assert given.of_one_run() == recipe.of_one_run()
    for key, other in (("warmup_updates", 201), ("cooldown_updates", 0)):
        assert recipe.overridden({f"training.{key}": other}).of_one_run() != recipe.of_one_run()


def test_overrides_that_are_none(tmp_path):
    assert "'training.num_updates'" in refused(tmp_path, overrides=["training.num_updates"]).problem
    assert "not YAML" in refused(tmp_path, overrides=["compare.seeds=[0, 1"]).problem


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no recipe .*nowhere\.yaml"):
        load_recipe(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match=r"no recipe .*recipe\.yaml"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nlanguages: {cs: {}\ndata: {dir: d}\n", 3),
        ("name: x\n\tlanguages: y\n", 2),
        ("name: x\nname: y\n", 2),
        ("name: 'x\n", 2),
    ],
)
def test_not_yaml(text, line, tmp_path):
    error = refused(tmp_path, text)
    assert f"{tmp_path / 'recipe.yaml'}:{line}" in error.problem
    assert "not YAML" in error.problem


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n"])
def test_no_mapping(text, tmp_path):
    assert "holds no settings" in refused(tmp_path, text).problem


def test_round_trip(tmp_path):
    """What a run saves is what it was started with, the order of languages included."""
    recipe = Recipe.model_validate(
        {
            "name": "no",
            "about": "Příliš: žluťoučký # kůň\n - 'x' \"y\" " + "long " * 60,
            "target": "no",
            "languages": {"zz": {"tokenizer": {"kind": "pinyin"}}, "no": {"budget_s": 600.0}, "aa": {}},
            "data": {"dir": tmp_path / "a b", "alpha": 0.3},
            "encoder": {"kind": "recurrent", "cell": "gru"},
            "training": {"learning_rate": 3e-4, "final_learning_rate": 1e-7},
            "augment": {"speeds": [0.9, 1.0], "noise_snr_db": [5, 20]},
            "compare": {"arms": ["joint"], "seeds": [3, 1]},
            "init_from": "runs/x",
        }
    )
    text = recipe.to_yaml()
    again = load_recipe(recipe_file(tmp_path, text))
    assert again == recipe
    assert list(again.languages) == ["zz", "no", "aa"]
    assert again.to_yaml() == text
    assert "evaluate_every: 100" in text, "defaults are written out"


def test_overridden():
    recipe = Recipe.model_validate({"name": "x", "languages": {"cs": {}}, "data": {"dir": "d"}})
    other = recipe.overridden(
        {"training.num_updates": 5, "seed": 3, "languages": {"de": LanguageSettings(budget_s=60)}}
    )
    assert (other.training.num_updates, other.seed) == (5, 3)
    assert other.languages == {"de": LanguageSettings(budget_s=60.0)}
    assert (recipe.training.num_updates, recipe.seed) == (2000, 0), "the original stays"
    assert other.training.learning_rate == recipe.training.learning_rate
    assert recipe.overridden({"encoder": RecurrentSettings(dim=8)}).encoder == RecurrentSettings(dim=8)
    with pytest.raises(InputError, match=r"training\.num_updates"):
        recipe.overridden({"training.num_updates": 0})


def test_frozen():
    recipe = Recipe.model_validate({"name": "x", "languages": {"cs": {}}, "data": {"dir": "d"}})
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 5


def test_the_schedule_has_its_settings():
    from speech_mtl.run.build import build_schedule
    from speech_mtl.training.unfreezing import All

    training = TrainingSettings()
    schedule = build_schedule(training, All(2))
    assert schedule(training.warmup, training.num_updates) == [training.learning_rate]
    assert schedule(training.num_updates, training.num_updates) == [training.final_learning_rate]


def test_shares_go_with_the_languages_they_were_shared_with(tmp_path):
    languages = "{cs: {share: 0.6}, de: {share: 0.4}, pl: {train: false}}"
    recipe = load_recipe(recipe_file(tmp_path), [f"languages={languages}", "init_from=runs/x"])
    left = {name: settings for name, settings in recipe.languages.items() if name != "de"}
    assert [settings.share for settings in recipe.with_languages(left).languages.values()] == [None, None]
    kept = {name: settings for name, settings in recipe.languages.items() if name != "pl"}
    assert [settings.share for settings in recipe.with_languages(kept).languages.values()] == [0.6, 0.4]
