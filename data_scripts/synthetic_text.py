"""Short phrases in any language, made of locale data alone: places, languages, dates, amounts, spelled-out numbers.

The names and patterns are those of Unicode CLDR (through babel), the numbers those of num2words and cn2an. No sentence
is written by hand, so that a language needs no work.
"""

import datetime
import functools
import hashlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from speech_mtl.errors import InputError, refuse_missing

if TYPE_CHECKING:
    from babel import Locale

LENGTHS = (12, 60)
"""Range from which the target length of a text is sampled, in letters (see `_length`): about 1 to 4 seconds."""

NUM_ATTEMPTS = 2000
"""How many texts to try for one that will do."""

PUNCTUATION = frozenset(" ,،、，·'’-‐\u200c\u200d")
"""What a text may hold besides letters; the last two join or part letters in Persian and Indic scripts."""

MIN_SCRIPT_FRACTION = 0.02
"""A language's scripts are those that make up at least this fraction of the letters of its names."""


class Texts:
    """A language's phrases.

    Args:
        language: BCP 47 tag.

    Raises:
        InputError: Babel has no data for the language.
    """

    def __init__(self, language: str) -> None:
        self.locale = _locale(language)
        self._spell = _number_speller(self.locale)
        all_names = {kind: list(names) for kind, names in _names(self.locale)}
        self._scripts = _scripts("".join(all_names["territories"] + all_names["languages"]))
        usable = {kind: set(filter(self._is_usable, map(_tidy, names))) for kind, names in all_names.items()}
        self.names = {kind: sorted(names) for kind, names in usable.items() if names}
        if not self.names:
            raise _too_little_data(language)
        self._templates: list[Callable[[Random], str]] = [self._list, self._list]
        if self._spell is not None:
            self._templates += [self._date, self._distance_in_time, self._quantity, self._money]

    def sample(self, random: Random, is_wanted: Callable[[str], bool]) -> str:
        """A text that `is_wanted`.

        Raises:
            InputError: None of many texts is.
        """
        for _ in range(NUM_ATTEMPTS):
            text = self._sample(random)
            if text and is_wanted(text):
                return text
        raise _too_little_data(str(self.locale))

    def _sample(self, random: Random) -> str | None:
        """Phrases joined until the text is as long as wished; None if nothing came out."""
        wished = random.uniform(*LENGTHS)
        text = ""
        while _length(text) < wished:
            phrase = _tidy(random.choice(self._templates)(random))
            if not self._is_usable(phrase):
                break
            text = self._join([text, phrase]) if text else phrase
        return text or None

    def _join(self, phrases: list[str], style: str = "standard") -> str:
        from babel.lists import format_list

        return format_list(phrases, style, locale=self.locale)  # pyright: ignore[reportArgumentType]

    def _list(self, random: Random) -> str:
        names = random.choice(list(self.names.values()))
        some = random.sample(names, min(len(names), random.randint(1, 3)))
        return self._join(some, random.choice(["standard", "or"]))

    def _date(self, random: Random) -> str:
        from babel.dates import format_date, format_skeleton

        date = datetime.date(random.randint(1900, 2030), 1, 1) + datetime.timedelta(days=random.randrange(365))
        skeletons = [name for name in ("MMMMd", "yMMMM", "MMMMEEEEd") if name in self.locale.datetime_skeletons]
        skeleton = random.choice([None, *skeletons])
        if skeleton is None:
            return self._spelled(format_date(date, "full", locale=self.locale))
        return self._spelled(format_skeleton(skeleton, date, locale=self.locale))

    def _distance_in_time(self, random: Random) -> str:
        from babel.dates import format_timedelta

        unit = random.choice(["minutes", "hours", "days", "weeks"])
        delta = datetime.timedelta(**{unit: random.choice([-1, 1]) * random.randint(1, 50)})
        text = format_timedelta(delta, add_direction=True, threshold=9, locale=self.locale)
        return self._join([self._spelled(text), random.choice(next(iter(self.names.values())))])

    def _quantity(self, random: Random) -> str:
        from babel.units import format_unit

        unit = random.choice(sorted(self.locale.unit_display_names))
        text = format_unit(_number(random), unit, locale=self.locale)
        return "" if unit in text else self._spelled(text)  # where CLDR lacks a unit, its identifier comes back

    def _money(self, random: Random) -> str:
        from babel.numbers import get_currency_name, get_currency_unit_pattern

        number, currency = _number(random), random.choice(sorted(self.locale.currencies))
        name = get_currency_name(currency, count=number, locale=self.locale)
        pattern = get_currency_unit_pattern(currency, count=number, locale=self.locale)
        return self._spelled(pattern.format(number, name))

    def _spelled(self, text: str) -> str:
        """Spells the numbers out; empty where one carries an ending, as in the French `2e`, or cannot be spelled."""
        spell = self._spell
        ending = re.search(r"\d\.?([^\W\d_])", text)
        if spell is None or (ending and ending[1].islower()):
            return ""
        try:
            # The full stop of ordinals goes: `3. November` is read as a plain number.
            return re.sub(r"(\d+)\.?", lambda match: spell(int(match[1])), text)
        except Exception:  # num2words' less travelled languages fail in many ways, for some numbers only
            return ""

    def _is_usable(self, text: str) -> bool:
        """Whether a text can be read aloud: letters of the language's own scripts, no digits, no abbreviations."""
        if not text or any(first.isupper() and second.isupper() for first, second in itertools.pairwise(text)):
            return False
        return all(
            character in PUNCTUATION or unicodedata.category(character)[0] == "M" or _script(character) in self._scripts
            for character in text
        )


@functools.cache
def texts(language: str) -> Texts:
    """A language's phrases; kept, for building them takes a while."""
    return Texts(language)


def split_of(text: str) -> str:
    """The split that a text belongs to, by the text alone: so no text of one split is ever in another."""
    digest = hashlib.blake2b(text.casefold().encode(), digest_size=8).digest()
    return {0: "dev", 1: "test"}.get(int.from_bytes(digest) % 8, "train")


def _locale(language: str) -> "Locale":
    refuse_missing("babel", extra="corpora", purpose="Making texts")
    import babel

    try:
        return babel.Locale.parse(language, sep="-")
    except (babel.UnknownLocaleError, ValueError):
        raise InputError(
            f"No texts in {language!r}: babel has no data for this language",
            expected="a BCP 47 tag that babel knows, such as cs, sw or pt-BR",
            received=language,
            action="choose another language",
        ) from None


def _too_little_data(language: str) -> InputError:
    return InputError(
        f"Too little is known of the language {language!r} to make texts",
        expected=f"locale data in babel that give a good text within {NUM_ATTEMPTS} attempts",
        received="no such text",
        action="leave the language out",
    )


def _number_speller(locale: "Locale") -> Callable[[int], str] | None:
    """Spells numbers in a language; None if no library does."""
    for package in ("cn2an", "num2words"):
        refuse_missing(package, extra="corpora", purpose="Spelling numbers")
    import cn2an
    import num2words

    if locale.language == "zh":  # num2words has no Chinese
        return None if locale.script == "Hant" else cn2an.an2cn
    for name in (str(locale), locale.language):
        # Asked for exactly: num2words would take Finnish for fil.
        if name in num2words.CONVERTER_CLASSES:
            return functools.partial(num2words.num2words, lang=name)
    return None


def _names(locale: "Locale") -> Iterator[tuple[str, Iterable[str]]]:
    yield "territories", locale.territories.values()
    yield "languages", locale.languages.values()
    yield "scripts", locale.scripts.values()
    yield "currencies", locale.currencies.values()
    yield "units", locale.unit_display_names.values()
    yield "cities", (zone["city"] for zone in locale.time_zones.values() if "city" in zone)
    yield "time zones", (name for zone in locale.meta_zones.values() for name in zone.get("long", {}).values())
    yield "calendar", [*locale.days["format"]["wide"].values(), *locale.months["format"]["wide"].values()]


def _tidy(text: Any) -> str:
    """Plain spaces, no marks of direction, composed letters; what is no text is empty."""
    if not isinstance(text, str):
        return ""
    plain = "".join(" " if unicodedata.category(character) == "Zs" else character for character in text)
    return unicodedata.normalize("NFC", re.sub("[\u200e\u200f\u061c]", "", plain)).strip()


def _script(character: str) -> str:
    """The script of a letter, as the first word of its Unicode name; empty for what is no letter."""
    return unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""


def _scripts(letters: str) -> set[str]:
    counts = Counter(filter(None, map(_script, letters)))
    return {script for script, count in counts.items() if count >= MIN_SCRIPT_FRACTION * counts.total()}


def _length(text: str) -> int:
    """The length in letters, where one of the scripts that write a syllable with one sign counts four."""
    return sum(4 if unicodedata.east_asian_width(character) == "W" else 1 for character in text)


def _number(random: Random) -> int:
    return random.randint(1, random.choice([20, 100, 1000]))
