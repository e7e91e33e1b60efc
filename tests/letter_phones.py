"""The letters of tiny corpora as phones."""

from pathlib import Path
from typing import Any

from speech_mtl.data.manifest import read_manifest
from speech_mtl.settings.recipe import Recipe


def phones_task(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Settings of a task whose lexicons spell the words; the language bb has another a."""
    lexicons = {}
    for language in recipe.languages:
        splits = (read_manifest(recipe.manifest(language, split)) for split in ("train", "dev"))
        words = {word for split in splits for utterance in split for word in (utterance.text or "").split()}
        phones = {word: " ".join(word.replace("a", "ɑ") if language == "bb" else word) for word in words}
        lexicons[language] = folder / f"{language}.txt"
        lexicons[language].write_text("".join(f"{word}\t{own}\n" for word, own in phones.items()), "utf-8")
    return {"kind": "phones", "at": "block_0", "lexicons": lexicons}
