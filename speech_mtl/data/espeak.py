"""espeak-ng in this process: the speech synthesiser that the wheel `espeakng-loader` brings along, through ctypes.

Only what a recipe or a script asks for loads it: espeak-ng is under the GPL.
"""

import _ctypes
import ctypes
import functools
import sys
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from speech_mtl.errors import InputError, refuse_missing

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA, INITIALIZE_DONT_EXIT = 0x0001, 0x0002, 0x8000
CHARS_UTF8 = 1
IPA, SEPARATED = 0x02, ord("_") << 8
PARAMETER_RATE, PARAMETER_PITCH, PARAMETER_RANGE = 1, 3, 4

EVENT_LIST_TERMINATED, EVENT_WORD, EVENT_PHONEME = 0, 1, 7


class Phone(NamedTuple):
    """A phone in an utterance: when it begins, and its IPA; an empty text is a pause."""

    start_s: float
    ipa: str


class _Event(ctypes.Structure):
    """espeak's own `espeak_EVENT`; of its union `id`, the text of a phoneme."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("phoneme", ctypes.c_char * 8),
    ]


_SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _VoiceRecord(ctypes.Structure):
    """espeak's own `espeak_VOICE`; `languages` is a row of (priority byte, zero-terminated tag), ended by a zero."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Settings of a synthesised utterance.

    Attributes:
        voice: One of `Espeak.languages`, with a variant or without: `sit/cmn+f3`.
        rate: Words per minute.
        pitch: 0 to 99, around the voice's own.
        pitch_range: 0 (monotonous) to 99.
        seed: Of espeak's own randomness, such as the flutter of a voice.
    """

    voice: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    seed: int = 0


class Speech(NamedTuple):
    """Speech that espeak synthesised.

    Attributes:
        waveform: (S,) float32 in [-1, 1].
        phones: In their order; stress is taken off.
        words: Where each begins: in seconds, and in the text; empty where espeak reads none, as in some signs.
    """

    waveform: np.ndarray
    phones: list[Phone]
    words: list[tuple[float, int]]


class Espeak:
    """One espeak-ng. The library keeps global state, so have one a process: call `espeak()`. Threads take turns.

    Attributes:
        sample_rate_hz: Of what `speak` returns.
    """

    def __init__(self) -> None:
        refuse_missing("espeakng_loader", extra="phones", purpose="Reading text with espeak-ng")
        import espeakng_loader

        self._library_path = espeakng_loader.get_library_path()
        self._data_path = espeakng_loader.get_data_path().encode()
        self._chunks: list[bytes] = []
        self._phones: list[tuple[int, bytes]] = []
        self._words: list[tuple[int, int]] = []
        self._voices: dict[str, str] = {}
        self._callback = _SYNTH_CALLBACK(self._take)
        self._lock = threading.RLock()
        self._library: Any = self._open()

    def speak(self, text: str, delivery: Delivery) -> Speech:
        """The speech; the same arguments give the same samples, independent of earlier calls."""
        with self._lock:
            return self._spoken(text, delivery)

    def _spoken(self, text: str, delivery: Delivery) -> Speech:
        # Earlier calls change espeak's static variables, beyond what espeak_Terminate resets (1.52), and
        # changes the samples. Loading the library afresh takes a third of a millisecond.
        self._close()
        self._library = self._open()
        if hasattr(self._library, "espeak_ng_SetRandSeed"):
            self._library.espeak_ng_SetRandSeed(ctypes.c_long(delivery.seed))
        self._set_voice(delivery.voice)
        for parameter, value in (
            (PARAMETER_RATE, delivery.rate),
            (PARAMETER_PITCH, delivery.pitch),
            (PARAMETER_RANGE, delivery.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        self._phones.clear()
        self._words.clear()
        spoken = text.encode()
        if self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, CHARS_UTF8, None, None) != 0:
            raise RuntimeError(f"espeak-ng cannot speak {text!r} with the voice {delivery.voice!r}")
        waveform = np.frombuffer(b"".join(self._chunks), np.int16).astype(np.float32) / 32768
        rate = self.sample_rate_hz
        phones = [Phone(start / rate, _ipa(name)) for start, name in self._phones]
        return Speech(waveform, phones, [(start / rate, position - 1) for start, position in self._words])

    def phonemes(self, text: str, voice: str) -> str:
        """The phonemes of a text, in espeak's mnemonics."""
        return self._read(text, voice, 0)

    def ipa(self, text: str, voice: str) -> str:
        """The phonemes of a text in IPA, each followed by `_` or a space.

        The result does not depend on earlier calls. Where a word is read in another language, that of the voice
        `en`, say, it stands between `(en)` and the voice's own code. Some letters are espeak's own; see `data.phones`.
        """
        return self._read(text, voice, IPA | SEPARATED)

    def _read(self, text: str, voice: str, mode: int) -> str:
        buffer = ctypes.create_string_buffer(text.encode())
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        with self._lock:
            self._set_voice(voice)
            while rest.value:  # espeak moves the pointer behind each clause and in the end to NULL
                clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), CHARS_UTF8, mode).decode())
        return " ".join(clauses)

    @property
    def version(self) -> str:
        """Version of espeak-ng."""
        return self._library.espeak_Info(None).decode()

    @functools.cached_property
    def languages(self) -> dict[str, str]:
        """The BCP 47 tags (in lower case) that espeak speaks, each with the name of its preferred voice.

        The name is the voice's file, `gmw/de`: given `de`, espeak would list its voices first, which takes longer than
        speaking a short text.
        """
        best: dict[str, tuple[int, str]] = {}
        records = self._library.espeak_ListVoices(None)
        number = 0
        while records[number]:
            record = records[number].contents
            for priority, tag in _tags(record.languages):
                if tag not in best or priority < best[tag][0]:
                    best[tag] = (priority, record.identifier.decode())
            number += 1
        return {tag: voice for tag, (_, voice) in sorted(best.items())}

    def speaks(self, language: str) -> bool:
        """Whether there is a voice for a language."""
        try:
            self.voice(language)
        except InputError:
            return False
        return True

    def voice(self, language: str) -> str:
        """The voice for a language: for the tag itself, else for the tag with its last parts cut off.

        Raises:
            InputError: espeak does not speak the language.
        """
        if language not in self._voices:
            self._voices[language] = self._find_voice(language)
        return self._voices[language]

    def _find_voice(self, language: str) -> str:
        parts = language.lower().split("-")
        for length in range(len(parts), 0, -1):
            voice = self.languages.get("-".join(parts[:length]))
            # The wheel lists a few voices without their dictionaries, which give no sound.
            if voice is not None and self.phonemes("a", voice):
                return voice
        raise InputError(
            f"espeak-ng does not speak {language!r}",
            expected="one of " + " ".join(self.languages),
            received=language,
            action="choose among these languages",
        )

    def _open(self) -> Any:
        library = ctypes.CDLL(self._library_path)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceRecord))
        self.sample_rate_hz: int = library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS,
            0,
            self._data_path,
            INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA | INITIALIZE_DONT_EXIT,
        )
        if self.sample_rate_hz <= 0:
            raise RuntimeError(f"espeak-ng cannot read its data in {self._data_path.decode()}")
        library.espeak_SetSynthCallback(self._callback)
        return library

    def _close(self) -> None:
        self._library.espeak_Terminate()
        handle = self._library._handle
        if sys.platform == "win32":
            _ctypes.FreeLibrary(handle)
        else:
            _ctypes.dlclose(handle)

    def _set_voice(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice {voice!r}")

    def _take(self, samples: Any, num_samples: int, events: Any) -> int:
        number = 0
        while events[number].type != EVENT_LIST_TERMINATED:
            if events[number].type == EVENT_PHONEME:
                self._phones.append((events[number].sample, bytes(events[number].phoneme)))
            elif events[number].type == EVENT_WORD:
                self._words.append((events[number].sample, events[number].text_position))
            number += 1
        if samples and num_samples > 0:
            self._chunks.append(ctypes.string_at(samples, num_samples * ctypes.sizeof(ctypes.c_short)))
        return 0  # go on


@functools.cache
def espeak() -> Espeak:
    """This process's espeak-ng."""
    return Espeak()


def _ipa(phoneme: bytes) -> str:
    """A phone without its stress; espeak has room for 8 bytes, which may cut a letter in two."""
    return phoneme.decode(errors="ignore").strip("ˈˌ ")


def _tags(address: int) -> list[tuple[int, str]]:
    tags = []
    while priority := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        tags.append((priority, tag.decode()))
        address += len(tag) + 2
    return tags
