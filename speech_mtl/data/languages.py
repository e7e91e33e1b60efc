"""Language tags: which ones are well formed, and which ones mean the same language."""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from langcodes import Language, standardize_tag
from langcodes.tag_parser import LanguageTagError

from speech_mtl.errors import InputError

LONGEST_TAG = 35
"""Letters that RFC 5646 (section 4.4.1) expects of a tag at most."""


@lru_cache(maxsize=4096)
def canonical(language: str) -> str:
    """Returns the canonical form of a tag: `EN`, `eng` and `en` are `en`.

    Case is that of BCP 47; codes are the shortest of ISO 639, of today; extended languages stand alone (`zh-yue` is
    `yue`); the language that usually is meant by a group of languages has the group's code (`cmn` is `zh`).

    Raises:
        InputError: The tag is malformed.
    """
    form = None if "_" in language else _standard(language)
    if form is not None:
        return form
    meant = _standard(language.replace("_", "-"))
    raise InputError(
        f"Malformed language tag {language[:80]!r}",
        expected=f"a BCP 47 tag such as cs, zh-CN or sr-Latn, of at most {LONGEST_TAG} letters",
        received=repr(language[:80]),
        action=f"write {meant}"
        if meant
        else "write the code of ISO 639 (de, not german), then script and region with hyphens before them",
    )


def _standard(tag: str) -> str | None:
    """The canonical form; None of what is no tag."""
    if len(tag) > LONGEST_TAG or len(tag.split("-", maxsplit=1)[0]) == 4:  # four letters are reserved: `thai` is none
        return None
    try:
        form = standardize_tag(tag, macro=True)
    except LanguageTagError:
        return None
    return _standard(form.split("-", 1)[1]) if Language.get(form).extlangs else form


def is_registered(language: str) -> bool:
    """Whether the codes in a tag are in use or free for private use: `jp` and `cn` are countries, no languages."""
    return Language.get(canonical(language)).is_valid()


@lru_cache(maxsize=4096)
def is_form_of(tag: str, language: str) -> bool:
    """Whether a tag means a language, or a more general or more special form of it: `pt` and `pt-BR`, `cmn` and `zh`.

    Two special forms, such as `zh-CN` and `zh-TW`, are none of one another. A malformed tag means no language.
    """
    try:
        one, other = (canonical(name).split("-") for name in (tag, language))
    except InputError:
        return False
    return one[0] == other[0] and (set(one) <= set(other) or set(other) <= set(one))


def find_language(language: str, names: Iterable[str]) -> str | None:
    """The one of some names that is the same language, however its tag is written; None if there is none.

    Raises:
        InputError: A tag is malformed.
    """
    form = canonical(language)
    return next((name for name in names if canonical(name) == form), None)


def own_name(language: str, names: Collection[str]) -> str:
    """The name of an output layer for a language, whose tag may have another form: `EN` or `eng` for `en`.

    Raises:
        InputError: None of the names is that language, or the tag is malformed.
    """
    found = find_language(language, names)
    if found is None:
        raise InputError(
            f"There is no output layer for the language {language!r}",
            expected="one of " + ", ".join(names),
            received=language,
            action="name one of these languages, or train a run whose recipe lists yours under languages",
        )
    return found


def named_or_only(language: str | None, names: Sequence[str], problem: str) -> str:
    """The own name of a language that is named, or of the only one.

    Raises:
        InputError: As `own_name`; or, with the given problem, none is named where there are several.
    """
    if language is None and len(names) > 1:
        raise InputError(
            problem,
            expected="--language with one of " + ", ".join(names),
            received="no --language",
            action="name the language",
        )
    return own_name(language or names[0], names)


@lru_cache(maxsize=4096)
def language_and_script(language: str) -> tuple[str, str]:
    """The code of a language, and that of the script it is written in: by its tag, or else by default.

    Raises:
        InputError: The tag is malformed.
    """
    likely = Language.get(canonical(language)).maximize()
    return likely.language or "und", likely.script or "Latn"
