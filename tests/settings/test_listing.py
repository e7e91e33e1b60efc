from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.listing import all_settings, listing
from speech_mtl.settings.network import EncoderSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.section import Section
from speech_mtl.settings.tasks import TaskSettings


def test_every_setting_is_listed_with_what_it_does():
    listed = {setting.key.rpartition(".")[2] for setting in all_settings(Recipe)}
    whole = {"languages", "tasks", "columns"}
    plain = {
        name
        for section in [Section, *_all(Section)]
        for name, field in section.model_fields.items()
        if "Settings" not in repr(field.annotation) and name != "kind"
    }
    assert len(plain) > 80
    assert plain - whole <= listed
    assert [setting.key for setting in all_settings(Recipe) if not setting.about] == []


def _all(section: type[Section]) -> list[type[Section]]:
    """The package's sections; other tests may have made some of their own."""
    own = [one for one in section.__subclasses__() if one.__module__.startswith("speech_mtl.")]
    return [inner for one in own for inner in (one, *_all(one))]


def test_kinds_are_alternatives():
    kinds = {setting.key: setting.values for setting in all_settings(Recipe) if setting.key.endswith(".kind")}
    assert kinds["encoder.kind"] == " | ".join(EncoderSettings.kinds())
    assert kinds["tasks.TASK.kind"] == " | ".join(TaskSettings.kinds())
    assert kinds["decoding.kind"] == " | ".join(DecodingSettings.kinds())
    widths = {setting.kind: setting.default for setting in all_settings(Recipe) if setting.key == "encoder.dim"}
    assert {"encoder.kind=conformer": "144", "encoder.kind=recurrent": "256"}.items() <= widths.items()


def test_a_setting_has_its_values_default_and_description():
    text = listing([setting for setting in all_settings(Recipe) if setting.matches("Warmup_Updates")], 80)
    start = "      0 to 100,000,000, or null. Updates until the peak of the learning rate."
    assert text.splitlines()[:2] == ["training", "  training.warmup_updates=null"]
    assert text.splitlines()[2].startswith(start)
    assert "finetune.warmup_updates=null" in text
    assert max(len(line) for line in listing(all_settings(Recipe), 80).splitlines() if line.startswith("      ")) <= 80
    found = {setting.key: (setting.values, setting.default) for setting in all_settings(Recipe)}
    assert found["data.dir"] == ("path", None)
    assert found["augment.noise_snr_db"] == ("[-50 to 100, -50 to 100]", "[10.0, 30.0]")
    assert found["training.select"] == ("best | last", '"best"')
    assert found["languages.LANGUAGE.manifests"] == ("{train | dev | test: path}", "{}")
    assert found["data.allow_skipped"] == ("0 to less than 1", "0.01")
    assert len(listing(all_settings(Recipe), 100).split("\n\n")) == len(
        {(s.section, s.kind) for s in all_settings(Recipe)}
    )


def test_defaults_can_be_typed():
    recipe = Recipe.model_validate({"name": "x", "languages": {"cs": {}}, "data": {"dir": "d"}})
    from speech_mtl.settings.dotted import parsed_overrides

    typed = [
        f"{setting.key}={setting.default}"
        for setting in all_settings(Recipe)
        if setting.default is not None and setting.kind in ("", "encoder.kind=conformer", "features.kind=log_mel")
        if not any(part.isupper() for part in setting.key.split(".")) and setting.default != "null"
    ]
    assert len(typed) > 50
    assert recipe.overridden(parsed_overrides(typed)) == recipe
