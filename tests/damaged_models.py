"""What can be wrong with a folder that Transformers' `save_pretrained` wrote: functions that damage one."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

WEIGHTS = "model.safetensors"


def without_a_file(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def without_weight(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        arrays = load_file(folder / WEIGHTS)
        del arrays[name]
        save_file(arrays, folder / WEIGHTS)

    return damage


def cut_off(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:2000])


def with_config(config: Mapping[str, Any], **changes: Any) -> Callable[[Path], None]:
    """Other settings of the model than its weights have."""

    def damage(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return damage
