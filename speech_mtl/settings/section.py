"""Base classes of settings, and types of values with limits."""

import os
import re
import sys
from importlib import import_module
from inspect import get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, Unpack

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    create_model,
)
from pydantic_core import CoreSchema, core_schema

from speech_mtl.errors import printable

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


def _whole(value: Any) -> Any:
    """1e4 is a count as good as 10000; in YAML it is a number with a point."""
    return int(value) if type(value) is float and value.is_integer() else value


def _part_of_path(text: str) -> str:
    """A text that can be part of a file's or folder's name, on every system."""
    if (
        not text
        or text != text.strip(" .")
        or len(text.encode()) > 100
        or re.search(r'[\t\n/\\<>:"|?*]', text)
        or printable(text) != text
    ):
        raise ValueError(
            'a name for files: 1 to 100 bytes, without any of / \\ < > : " | ? * and control characters, and no dot or '
            "space at its ends"
        )
    return text


def _file_name(text: str) -> str:
    if re.fullmatch(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?", text, re.IGNORECASE):
        raise ValueError("another name: Windows keeps this one for a device")
    return text


def _path(value: Any) -> Any:
    """Valid path of a file; `~` is a shell's word for a folder, and no system's."""
    text = os.fspath(value) if isinstance(value, Path) else value
    if isinstance(text, str) and (
        not text
        or text.startswith("~")
        or re.search(r"[\t\n]", text)
        or printable(text, 4096) != text
        or any(len(part.encode()) > 255 for part in text.split("/"))
    ):
        raise ValueError(
            "a path of at most 4096 letters, its parts of at most 255 bytes, without control characters; not empty, "
            "and with the whole name of the folder in place of ~"
        )
    return value


def _shown_as_it_is(text: str) -> str:
    if printable(text, 10_000) != text:
        raise ValueError("at most 10,000 letters, and no control characters")
    return text


# Every number has both ends: what lies beyond is a slip, or would fill the memory. `true` and "5" are no numbers.
Proportion = Annotated[float, Field(strict=True, ge=0, lt=1)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Kept = Annotated[float, Field(strict=True, ge=1e-6, le=1)]
Positive = Annotated[float, Field(strict=True, ge=1e-6, le=1e6)]
Weight = Annotated[float, Field(strict=True, ge=0, le=1e6)]
Rate = Annotated[float, Field(strict=True, ge=1e-12, le=10)]
"""A learning rate."""
Seconds = Annotated[float, Field(strict=True, ge=1e-3, le=1e9)]
WHOLE = BeforeValidator(_whole)
Count = Annotated[int, Field(strict=True, ge=1, le=100_000_000), WHOLE]
CountFromZero = Annotated[int, Field(strict=True, ge=0, le=100_000_000), WHOLE]
Few = Annotated[int, Field(strict=True, ge=0, le=1000), WHOLE]
Layers = Annotated[int, Field(strict=True, ge=1, le=200), WHOLE]
Size = Annotated[int, Field(strict=True, ge=1, le=8192), WHOLE]
"""Size of a layer."""
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32), WHOLE]
Switch = Annotated[bool, Field(strict=True)]
Text = Annotated[str, AfterValidator(_shown_as_it_is)]
Word = Annotated[str, Field(max_length=200), AfterValidator(_shown_as_it_is)]
"""Name of something that is defined elsewhere."""
LanguageName = Annotated[str, AfterValidator(_part_of_path)]
"""Languages may have any tag: `con`, `aux` and `nul` are three, too."""
Name = Annotated[LanguageName, AfterValidator(_file_name)]
"""A name that becomes that of a file or folder."""
FilePath = Annotated[Path, BeforeValidator(_path)]


class Section(BaseModel):
    """A block of settings. Unknown keys are errors, and values cannot be changed afterwards.

    `speech-mtl settings` shows the text under a field as its description.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants", use_attribute_docstrings=True
    )

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Checks that it fits the other settings of a recipe.

        Raises:
            ValueError: It does not; names the setting to change.
        """


KIND = "kind: "
"""Marks a kind where pydantic puts it into the path of a setting: no name of a setting or language has a colon."""


class Kinds(Section):
    """A section that comes in several kinds: its subclasses of a `kind`; the first of them if none is named.

    Attributes:
        makes: The class that a kind stands for, as `module:class` of the package: settings import none of it.
    """

    makes: ClassVar[str]
    kind: Word = ""

    def __init_subclass__(cls, kind: str = "", makes: str = "", **config: Unpack[ConfigDict]):
        super().__init_subclass__(**config)
        if kind:
            cls.__annotations__ = {"kind": Literal[kind], **get_annotations(cls)}
            cls.kind, cls.makes = kind, makes

    @classmethod
    def kinds(cls) -> dict[str, type[Self]]:
        """Kinds of the section by name."""
        own = cls.model_fields["kind"].default
        found = {own: cls} if own else {}
        for one in cls.__subclasses__():
            found |= one.kinds()
        return found

    @classmethod
    def plain(cls, kind: str, makes: str = "") -> type[Self]:
        """A kind without settings of its own. It stands in the module of its base: settings go to other processes."""
        name, known = f"{kind}_{cls.__name__}", {"kind": kind, "makes": makes}
        made = create_model(name, __base__=cls, __module__=cls.__module__, __cls_kwargs__=known)
        setattr(sys.modules[cls.__module__], name, made)
        return made

    def arguments(self) -> dict[str, Any]:
        """Settings as arguments of the class that it names."""
        return self.model_dump(exclude={"kind"})

    def make(self, **more: Any) -> Any:
        """Makes it with its settings and `more` arguments."""
        return self.member()(**self.arguments(), **more)

    @classmethod
    def usual(cls) -> Self:
        """The kind that it is where none is named, with its defaults."""
        return next(iter(cls.kinds().values()))()

    @classmethod
    def member(cls) -> Any:
        """The class that it names."""
        module, name = cls.makes.split(":")
        return getattr(import_module(f"speech_mtl.{module}"), name)

    @classmethod
    def members(cls) -> dict[str, Any]:
        """The classes that its kinds make, by name."""
        return {kind: own.member() for kind, own in cls.kinds().items()}

    @classmethod
    def kind_of(cls, made: object) -> str:
        """The kind that an object was made as."""
        return next(kind for kind, member in cls.members().items() if member is type(made))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = cls.kinds()
        if cls in kinds.values() or not kinds:
            return handler(source)
        usual = next(iter(kinds))

        def kind_of(value: Any) -> str:
            kind = value.get("kind", usual) if isinstance(value, dict) else getattr(value, "kind", usual)
            return f"{KIND}{kind}"

        schemas = {f"{KIND}{kind}": handler.generate_schema(one) for kind, one in kinds.items()}
        return core_schema.tagged_union_schema(schemas, kind_of)
