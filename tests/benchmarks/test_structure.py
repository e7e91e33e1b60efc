"""What is counted about the structure, on a small package that was made up."""

import ast
import sys
from pathlib import Path

import pytest

from benchmarks.structure import counted, knowing, longest_function, parse, registries
from benchmarks.traced_update import NUM_SAMPLES, TEXTS, Trace

SETTINGS = """
class ASettings: ...
class BSettings: ...
class Number: ...
EncoderSettings = Annotated[ASettings | BSettings, "kind"]
"""
FILES = {
    "__init__.py": "",
    "settings.py": SETTINGS,
    "encoders.py": '''
from speech_mtl.a import Conformer
from speech_mtl.b import Recurrent

ENCODERS: dict[str, type] = {"a": Conformer, "b": Recurrent}
LIMITS = {"low": 1, "high": 2}
''',
    "a.py": "class Conformer:\n    @property\n    def dim(self):\n        return 1\n",
    "b.py": "class Recurrent: ...\n",
    "units.py": '''
class Unit:
    def __init_subclass__(cls): ...
class Characters(Unit): ...
class Pinyin(Characters): ...
''',
    "section.py": "class Kinds:\n    def __init_subclass__(cls, kind: str = ''): ...\n",
    "network.py": '''
from speech_mtl.section import Kinds
class Feature(Kinds): ...
class LogMel(Feature, kind="log_mel"): ...
Raw = Feature.plain("raw")
''',
    "arms.py": '''
ARMS = {}
def arm(function):
    ARMS[function.__name__] = function
    return function
@arm
def alone(): ...
@arm
def joint(): ...
''',
    "weights.py": '''
class Equal: kind = "equal"
class Fixed: kind = "fixed"
WEIGHTINGS = {one.kind: one for one in (Equal, Fixed)}
''',
    "called.py": '''
from speech_mtl import more
class One: ...
class Two: ...
KINDS = registry("kind", One, two=Two)
MORE = Registry()
''',
    "more.py": '''
from speech_mtl.called import MORE
@MORE.member("three")
class Three: ...
''',
    "tasks/__init__.py": '''
from speech_mtl.tasks.number import Number
from speech_mtl.tasks.classes import Classes
TASKS = {"number": Number, "classes": Classes}
''',
    "tasks/number.py": "class Number: ...\n",
    "tasks/classes.py": "class Classes: ...\n",
}  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "speech_mtl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "speech_mtl"


def test_registries_of_every_form_are_found(package: Path):
    found = {f"{one.module} {one.name}": set(one.members) for one in registries(parse(package))}
    assert found == {
        "settings.py EncoderSettings": {"ASettings", "BSettings"},
        "encoders.py ENCODERS": {"Conformer", "Recurrent"},
        "units.py Unit": {"Characters", "Pinyin"},
        "section.py Kinds": {"LogMel", "Raw"},
        "arms.py ARMS": {"alone", "joint"},
        "weights.py WEIGHTINGS": {"Equal", "Fixed"},
        "called.py KINDS": {"One", "Two"},
        "called.py MORE": {"Three"},
        "tasks/__init__.py TASKS": {"Number", "Classes"},
    }


def test_registries_and_members_may_know_members(package: Path):
    assert knowing(parse(package)) == {}


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("from speech_mtl.a import Conformer", ["Conformer"]),
        ("from speech_mtl.a import Conformer as C", ["Conformer"]),
        ("def late():\n    from speech_mtl.units import Pinyin", ["Pinyin"]),
        ("from speech_mtl import arms\narms.joint()", ["joint"]),
        ("from speech_mtl import arms as ways\nways.joint()", ["joint"]),
        ("from speech_mtl.network import LogMel, Raw", ["LogMel", "Raw"]),
        ("from speech_mtl.network import Feature", []),
        ("from speech_mtl.tasks import Number", ["Number"]),
        ("from speech_mtl.settings import Number", []),
        ("from speech_mtl.settings import EncoderSettings", []),
        ("from speech_mtl.settings import BSettings, ASettings", ["ASettings", "BSettings"]),
        ("from other.a import Conformer", []),
        ("joint = 1\nprint(joint)", []),
        ("def f(e):\n    return e.kind == 'whisper'", ["kind 'whisper'"]),
        ("def f(e):\n    return e.kind in ('a', 'b')", ["kind 'a'", "kind 'b'"]),
        ("def f(e, there):\n    return e.kind == there['kind']", []),
    ],
)
def test_a_module_knows_what_it_imports_or_compares(package: Path, text: str, known: list[str]):
    (package / "other.py").write_text(text)
    assert knowing(parse(package)) == ({"other.py": known} if known else {})


def test_lines_and_sizes(package: Path):
    (package / "long.py").write_text("x = 1\n" * 320)
    (package / "longer.py").write_text("x = 1\n\n# why\n" + "y = 2\n" * 318)
    found = counted(package)
    assert found["files"] == len(FILES) + 2
    assert found["modules"] == len(FILES)
    lines = sum(len(text.splitlines()) for text in FILES.values())
    assert found["lines"] == lines + 320 + 321
    assert found["longest_module"] == ["longer.py", 321]
    assert found["modules_over_320"] == {"longer.py": 321}


def test_a_function_reaches_from_its_decorator_to_its_last_line():
    text = "@one\n@two(\n  3\n)\ndef long(\n  x,\n):\n  return (\n    x\n  )\n\nclass A:\n  def short(self): ...\n"
    assert longest_function({"m.py": ast.parse(text)}) == ("m.py: long", 10)
    assert longest_function({"m.py": ast.parse("x = 1")}) == ("", 0)


class Batch(tuple):
    """As the package's, of which the trace knows the name only."""


class Shaped:
    def __init__(self, *shape: int | None):
        self.shape = shape


def test_what_an_utterance_is():
    trace = Trace(Path("speech_mtl"))
    assert trace.holds(TEXTS[3])
    assert trace.holds({"text": TEXTS[3] + "\n"})
    assert trace.holds([[Shaped(NUM_SAMPLES)]])
    assert not any(map(trace.holds, ["text", 7, None, Shaped(7, 3), Shaped(), Shaped(None), [[[[TEXTS[0]]]]]]))
    trace.holds(Batch([Shaped(7, 40)]))
    assert trace.batch_size == 7
    assert trace.holds(Shaped(7, 3))
    assert not any(map(trace.holds, [Shaped(3, 7), Shaped(None, 7)]))


def test_a_trace_goes_from_the_manifest_to_the_loss(tmp_path: Path):
    trace = Trace(tmp_path / "speech_mtl")
    names = {}
    for name in ("speech_mtl/a.py", "speech_mtl/b.py", "speech_mtl/c.py", "ctc_ops.py"):
        exec(compile("def f(x):\n    return x\n", str(tmp_path / name), "exec"), space := {})
        names[name] = space["f"]

    def called(name: str, value: object) -> None:
        sys.setprofile(trace)
        names[name](value)
        sys.setprofile(None)

    called("speech_mtl/a.py", TEXTS[0])
    assert not trace.entered
    trace.opened("open", (str(tmp_path / "dev.jsonl"), "r", 0))
    called("speech_mtl/a.py", TEXTS[0])
    assert not trace.entered
    trace.opened("open", (str(tmp_path / "train.jsonl"), "r", 0))
    called("speech_mtl/b.py", TEXTS[0])
    called("ctc_ops.py", 1)
    called("speech_mtl/a.py", Batch([Shaped(7, 40)]))
    called("speech_mtl/c.py", Shaped(3))
    called("ctc_ops.py", 1)
    trace.opened("open", (str(tmp_path / "train.jsonl"), "r", 0))
    called("speech_mtl/b.py", TEXTS[1])
    assert list(trace.entered) == ["b.py", "a.py", "c.py"]
    assert list(trace.handling) == ["b.py", "a.py"]
    assert trace.ended
