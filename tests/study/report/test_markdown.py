import re
from dataclasses import replace

import pytest
from made_up_summaries import HOSTILE

from speech_mtl.scoring.tables import markdown_table
from speech_mtl.study.report.content import write_report
from speech_mtl.study.report.markdown import escaped
from speech_mtl.study.statistics.rows import Arm


@pytest.fixture(scope="module")
def full(pages):
    return pages["full"].with_suffix(".md").read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    outside = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#+ .*$", outside, flags=re.MULTILINE)


def test_same_order_as_the_page(full, pages):
    page = pages["full"].read_text(encoding="utf-8")
    found = re.findall(r"<h(\d)[^>]*>([^<]+)</h", page)
    assert headings(full) == [f"{'#' * int(level)} {title}" for level, title in found]


def test_beginning(full):
    assert full.startswith(
        "# Recipe human, target zh-CN\n\nSpeech recognition with and without auxiliary languages · 3 seeds · 2026-11-21"
        "\n\n**With auxiliary languages (pretrain_finetune, the best of 3 ways tried at this amount), 10 minutes"
    )
    assert "\n\n> Human speech, one speaker a language: of new speakers nothing is said.\n\n## " in full


def test_images_are_there(full, pages):
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", full)
    names = ["data-efficiency", "equivalent-hours", "more-speech", "languages", "transfer", "forgetting"]
    assert images == [f"plots/report-{name}.png" for name in names]
    assert all((pages["full"].parent / name).stat().st_size > 5000 for name in images)


def test_tables(full):
    lines = [
        ["40 min", "zh-CN", "joint", "yes", "−30.0 (−41.0 to −20.0)"],
        ["10 min", "zh-CN", "tiny", "no", "−2.0 (−9.0 to 5.0)"],
    ]
    table = markdown_table(["Target speech", "Language", "Arm", "Significant", "CER reduced by %"], lines, 4)
    assert f"## Which got worse\n\n{table}\n\n" in full
    assert "| 10 min | pretrain_finetune | 0, 1, 2 | **15.5** (14.0–17.0) |" in full
    assert "| 10 min | tiny | not significant | < 10 min (< 10 to 11 min) | < 1.0 (< 1.0 to 1.1) |" in full
    for block in re.findall(r"(?:^\|.*\n)+", full, flags=re.MULTILINE):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1, "as many cells in every row"


def test_long_tables_that_repeat_a_plot_are_folded(full):
    assert re.findall(r"<details><summary>(.*)</summary>", full) == ["Test error of each language: the numbers"]
    assert full.count("\n\n</details>\n") == 1


def test_hostile_texts_are_only_texts(full):
    outside = re.sub(r"^(`{3,}).*?^\1$", "", full, flags=re.DOTALL | re.MULTILINE)
    assert HOSTILE in full.replace(outside, ""), "a block of code shows it as it is"
    assert "<script" not in outside
    assert "&lt;script>alert(1)&lt;/script>" in outside


def test_commands_stay_in_their_block(full):
    assert f"````\nspeech-mtl compare recipes/human --out runs/human\necho '{HOSTILE}' ```\n````" in full


def test_examples(full):
    assert "### Best: pretrain_finetune, 40 min, seed 0\n\n- ni3 hao3\n- ni3 hao3\n" in full
    assert "- wo3 **ma1** \\*bold\\* \\| x_y **de5**\n" in full
    assert "~~men5~~ \\*bold\\*" in full
    assert "- ~~zai4~~ ~~jian4~~\n- ∅\n" in full


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pretrain_finetune", "pretrain_finetune"),
        ("_a_", "\\_a\\_"),
        ("a|b", "a\\|b"),
        ("<b>", "&lt;b>"),
        ("F < 1", "F < 1"),
        ("&lt; & Co", "&amp;lt; & Co"),
        ("two\nlines  here", "two lines here"),
        ("- item", "\\- item"),
        ("> said", "\\> said"),
        ("1. item", "1\\. item"),
        ("1.5 min", "1.5 min"),
        ("# title", "\\# title"),
        ("[a](b) `c` ~~d~~ $e$", "\\[a\\](b) \\`c\\` \\~\\~d\\~\\~ \\$e\\$"),
        ("---", "\\---"),
        ("2026-11-21", "2026-11-21"),
        ("-5", "-5"),
    ],
)
def test_escaped(text, expected):
    assert escaped(text) == expected


def test_what_cannot_be_given_is_said(pages):
    text = pages["bare"].with_suffix(".md").read_text(encoding="utf-8")
    assert "**The hours that auxiliary languages save are not available: only alone was measured.**" in text
    assert "The commands are not known." in text
    assert "![" in text


def test_arm_names_do_not_break_tables(bare_summary, tmp_path):
    arms = [replace(arm, arm=Arm("a", "b|c")) for arm in bare_summary.arms]
    text = write_report(replace(bare_summary, arms=arms), tmp_path)[1].read_text(encoding="utf-8")
    assert "| 0.1 min | a:b\\|c |" in text


def test_parameters_where_arms_differ(full):
    lines = [line for line in full.splitlines() if line.startswith("| 10 min |")]
    alone, other = (next(line for line in lines if f"| {arm} |" in line) for arm in ("alone", "pretrain_finetune"))
    assert alone.endswith("| 25 min | 1,116,304 | 1,116,304 | 4,000 |")
    assert other.endswith("| 1,157,000 | 2,273,162 | 4,100 |")


def test_what_was_forgotten(full):
    assert "| 10 min | de | pretrain_finetune | 0, 1, 2 | 32.0 | 71.0 | 122.0 (90.0 to 160.0) |" in full
    assert "| 10 min | de | progressive | 0, 1, 2 | 32.0 | 32.0 | none: all the same |" in full
