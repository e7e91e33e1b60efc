"""Public models that a run is made with: their licence and content, recorded in the run's folder."""

import re
from pathlib import Path

from typing_extensions import TypedDict

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, write_text
from speech_mtl.models.hugging_face import model_digest
from speech_mtl.run.folder import Run
from speech_mtl.settings.recipe import Recipe


class PublicModel(TypedDict):
    """A line of `public_models.json`."""

    setting: str
    """The setting that names its folder."""
    folder: str
    licence: str | None
    digest: str


def licence_of(folder: Path) -> str | None:
    """The licence of a model by the front matter of its README.md, as Hugging Face's hub has it; None if unknown."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    given = dict(
        re.findall(r"^(license|license_name):[ \t]*['\"]?([^'\"\n]+?)['\"]?[ \t]*$", front[1] if front else "", re.M)
    )
    licence = given.get("license")
    return given.get("license_name", licence) if licence == "other" else licence


def write_public_models(run: Run, recipe: Recipe) -> list[str]:
    """Records the public models that the recipe of a new run names; returns a line for each, to be shown."""
    sections = {"features": recipe.features, **recipe.encoder.encoders()}
    folders = {f"{key}.dir": getattr(one, "dir", None) for key, one in sections.items()}
    found: list[PublicModel] = [
        {"setting": key, "folder": str(folder), "licence": licence_of(folder), "digest": model_digest(folder)}
        for key, folder in folders.items()
        if folder is not None
    ]
    if found:
        write_text(run.public_models_path, json_text(found))
    return described(found)


def recorded(run: Run) -> list[PublicModel]:
    """The public models of a run; none of a run of an earlier version."""
    path = run.public_models_path
    return read_json(path, list[PublicModel]) if path.is_file() else []


def described(found: list[PublicModel]) -> list[str]:
    """A line for each model: which it is, and its licence."""
    unknown = "not stated in its README.md; ask who gave you the model"
    return [f"Public model {Path(one['folder']).name}: licence {one['licence'] or unknown}" for one in found]


def refuse_other_public_model(run: Run, recipe: Recipe) -> None:
    """Checks that features that a public model makes are still those that a run was trained with.

    Raises:
        InputError: The folder holds another model.
    """
    for then in recorded(run):
        if then["setting"] == "features.dir" and model_digest(recipe.features.dir) != then["digest"]:  # type: ignore
            raise InputError(
                f"{run.path}: the model in {then['folder']} is not the one that the run was trained with",
                expected="the same files",
                received="another content of its JSON files or weights",
                action="put the former model back",
            )
