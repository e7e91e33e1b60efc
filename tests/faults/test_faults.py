"""Inputs on which the command line failed once, each in a folder with the command that shows it; see `make faults`.

The folders lie outside of the project, in the folder that the environment variable FAULTS names. Each has a `README.md`
with a line `Command: ...`, in which `$F` stands for the folder.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FAULTS = Path(os.environ.get("FAULTS", PROJECT.parent / "shared" / "faults"))
MOST_S = 600


@dataclass(frozen=True)
class Right:
    """How a command ends where nothing is wrong.

    Attributes:
        code: Its exit code.
        told: Patterns that what it prints matches.
        untold: Patterns that it does not match.
        holds: Patterns that files below `out` match, by a pattern of their names.
        lacks: The same, of what no such file matches.
        absent: Patterns of names of files that must not be there.
        command: In place of that in the README, where this machine may not do it.
    """

    code: int = 0
    told: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    holds: dict[str, str] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    command: str = ""


def num_lines(number: int) -> str:
    """The pattern of a text of so many lines."""
    return rf"\A(?:[^\n]+\n){{{number}}}\Z"


def moved(script: str, *replaced: str) -> str:
    """The command that runs a fault's script with what is called otherwise today: pairs of texts, old and new."""
    changes = " ".join(f"-e 's!{old}!{new}!'" for old, new in zip(replaced[::2], replaced[1::2], strict=True))
    return f"sed {changes} $F/{script} > script.py && python script.py"


RIGHT = {
    "01": Right(0, (r"train\.tsv:2: skipped: 14 fields, 13 expected",), lacks={"01/cs/train.jsonl": "dobrý"}),
    "03": Right(0, (r"warning.*train\.jsonl.*ku\?ier",)),
    "05": Right(0, holds={"05/de/train.jsonl": num_lines(6)}, untold=("there is no text",)),
    "07": Right(0, holds={"07/de/train.jsonl": '"2020-01-01"'}, lacks={"07/de/*.jsonl": "00:00:00"}),
    "08": Right(0, holds={"08/de/train.jsonl": num_lines(6)}, untold=("comes twice",)),
    "11": Right(2, (r"train\.tsv:2: not UTF-8",)),
    "13": Right(0, (r"train\.tsv:2: skipped: ",)),
    "14": Right(0, (r"train\.tsv:3: skipped: there is no audio file",)),
    "16": Right(2, (r"out/file.* cannot be used",)),
    "17": Right(0, holds={"17/de/train.jsonl": num_lines(2)}),
    "19": Right(0, (r"warning en: 8 of 8 test utterances \(audio and text\) are in training",)),
    "21": Right(2, (r"train\.jsonl:1: .*language", r"pl")),
    "23": Right(
        0, holds={"23/evaluation.json": r'"split": "test",\s+"num_utterances": 2,\s+"num_reference_words": (?!2,)\d'}
    ),
    "25": Right(2, (r"language",), absent=("25b/settings.yaml",)),
    "26": Right(2, (r"out of range",)),
    "27": Right(2, (r"shorter",)),
    "29": Right(2, (r"dev\.jsonl:1: not JSON \(.*hex escape",)),
    "31": Right(0),
    "33": Right(0),
    "35": Right(2, (r"train\.jsonl.*changed|changed.*train\.jsonl",)),
    "37": Right(0, lacks={"37/tokenizers/tr.json": "\u0307"}),
    "38": Right(0, lacks={"38/tokenizers/th.json": "เ"}, holds={"38/tokenizers/th.json": "แ"}),
    "40": Right(0, lacks={"40/tokenizers/ckb.json": "[كي]"}, holds={"40/tokenizers/ckb.json": "ک"}),
    "42": Right(0, holds={"42/tokenizers/hi.json": "ः"}),
    "43": Right(0, (r"True",), command=moved("show.py", "data.tokenizer import PinyinT", "data.pinyin import PinyinT")),
    "44": Right(0, (r"\\u010d\.wav|č\.wav",)),
    "45": Right(0, holds={"45/de/train.jsonl": num_lines(2)}, told=(r"b\.wav|row|metadata",)),
    "46": Right(0, holds={"46/de/train.jsonl": num_lines(2)}),
    "47": Right(0, holds={"47/de/train.jsonl": num_lines(4)}),
    "49": Right(2, (r"1 .*of.*3|none",)),
    "50": Right(0, lacks={"50/tokenizers/ko.json": "[\u1160\u3164\ue000]"}),
    "60": Right(0, untold=(r"unreadable",)),
    "61": Right(0, (r"truncated",)),
    "62": Right(0, untold=("too long",)),
    "63": Right(2, (r"train\.jsonl:1: ",)),
    "65": Right(2, (r"train\.jsonl:1: .*duration_s",)),
    "68": Right(2, (r"recipe\.yaml:\d+: ",)),
    "70": Right(2),
    "71": Right(0, (r"Error: ",), absent=("escaped/*", "*.pcm")),
    "72": Right(0, (r"Error: ",), holds={"72/log.jsonl": "my log"}, absent=("72/settings.yaml",)),
    "73": Right(2, (r"name",)),
    "75": Right(
        2,
        (r"No space left|File too large", "cannot be used"),
        command='TRAIN="speech-mtl train $F data.dir=$F/data data.cache_dir=out/cache"; $TRAIN --out out/first && '
        "ulimit -f 12 && $TRAIN --out out/75/run",
    ),
    "76": Right(
        0,
        (r"first: .* hold: \[\]", r"second: .* hold: \[\]"),
        command=moved(
            *("demo.py", "manifest import read_manifest", "index import open_manifest"),
            *("lambda: read_manifest(manifest)", 'open_manifest(manifest, Path("out/index"))'),
            *("Path(__file__).parent", 'Path(os.environ["F"])'),
        ),
    ),
    "77": Right(2, (r"out/loop/x.* cannot be used",)),
    "78": Right(2, (r"NOTES\.md:\d+: not UTF-8",), command="python -m benchmarks.readmes $F/NOTES.md"),
    "80": Right(2, (r"hypotheses\.jsonl:\d+: ",)),
    "82": Right(2, (r"the test set of aa comes twice",)),
    "84": Right(2, (r"best/\d+/encoder\.safetensors are not numbers",)),
    "85": Right(2, (r"tokenizers/en\.json",)),
    "87": Right(0, (r"exit code 130",)),
    "89": Right(0, holds={"89/hypotheses.jsonl": "slow"}, lacks={"89/hypotheses.jsonl": "quick"}),
    "91": Right(1, (r"with another number \(--jobs\), the same seed gives other losses and weights",)),
}
"""By the number that a folder's name begins with."""


def folders() -> list[Path]:
    return sorted(path.parent for path in FAULTS.glob("*/README.md"))


@pytest.mark.faults
@pytest.mark.parametrize("folder", folders(), ids=lambda path: path.name)
def test_every_fault_is_fixed(folder: Path, tmp_path: Path):
    right = RIGHT[folder.name.split("-")[0]]
    out = tmp_path / "out"
    out.mkdir()
    command = right.command or _command(folder)
    variables = {**os.environ, "F": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        timeout=MOST_S,
        check=False,
    )
    text = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    assert "Traceback" not in text, text
    assert ended.returncode == right.code, text
    for pattern in right.told:
        assert re.search(pattern, text, re.DOTALL), text
    for pattern in right.untold:
        assert not re.search(pattern, text), text
    for name, pattern in right.holds.items():
        files = list(out.glob(name))
        assert files, f"there is no {name}\n{text}"
        assert all(re.search(pattern, path.read_text(encoding="utf-8")) for path in files), name
    for name, pattern in right.lacks.items():
        assert not [path for path in out.glob(name) if re.search(pattern, path.read_text(encoding="utf-8"))], name
    assert not [path for name in right.absent for path in out.rglob(name)], text
    shutil.rmtree(out)


def _command(folder: Path) -> str:
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("Command: ")]
    return re.sub(r"   \(.*\)$", "", line.removeprefix("Command: "))
