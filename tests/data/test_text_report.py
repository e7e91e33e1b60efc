from speech_mtl.data.rules import Choices
from speech_mtl.data.text_report import TextReport, normalized_lines, read_texts
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer


def test_every_line_and_every_dropped_character_is_counted(tmp_path):
    path = tmp_path / "ru.txt"
    path.write_text("Mосква — «да»!\n\n5 часов\n…\nпро?ерка\n", encoding="utf-8")
    rule, report = CharacterTokenizer("ru", (BLANK_TOKEN,), Choices("spell")), TextReport()
    lines = list(normalized_lines(read_texts(path), rule))
    for line in lines:
        report.add(line, rule)
    assert [line.where for line in lines] == [f"{path}:{number}" for number in (1, 3, 4, 5)]
    assert [line.normalized for line in lines] == ["москва да", "5 часов", "", "про ерка"]
    assert [bool(line.refusal) for line in lines] == [False, True, False, False]
    assert [len(line.doubtful) for line in lines] == [1, 0, 0, 1]
    assert (report.num_lines, report.num_refused, report.num_empty, report.num_doubtful) == (4, 1, 1, 2)
    assert report.dropped == {"—": 1, "«": 1, "»": 1, "!": 1, ".": 3, " ": 1, "m": 1, "?": 1}
    assert report.kept.total() == len("москва да") + len("про ерка")
