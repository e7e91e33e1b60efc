import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from made_up_summaries import HOSTILE, UNLEARNT

from speech_mtl.study.report import content as report
from speech_mtl.study.report import page
from speech_mtl.study.report.content import write_report
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import NotLearnt

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps what is asked about."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and not {"script", "style"} & set(self.open):
            self.texts.append((self.open[-1], " ".join(data.split())))

    def named(self, *tags: str) -> list[tuple[str, dict]]:
        return [found for found in self.tags if found[0] in tags]

    def said(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


@pytest.fixture(scope="module")
def texts(pages):
    return {name: path.read_text(encoding="utf-8") for name, path in pages.items()}


@pytest.fixture(scope="module")
def full(texts):
    return Page(texts["full"])


def test_files(tmp_path, full_summary):
    names = ("data-efficiency", "equivalent-hours", "more-speech", "languages", "transfer", "forgetting")
    expected = ["report.html", "report.md"]
    expected += [f"plots/report-{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    paths = write_report(full_summary, tmp_path / "new")
    assert [path.relative_to(tmp_path / "new").as_posix() for path in paths] == expected
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths), "nothing else is left"
    for path in paths:
        if path.suffix == ".svg":
            ElementTree.parse(path)
    markdown = paths[1].read_text(encoding="utf-8")
    assert "](plots/report-languages.png)" in markdown


def test_same_summary_same_bytes(tmp_path, full_summary):
    one, other = (write_report(full_summary, tmp_path / name) for name in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


@pytest.mark.parametrize("failing", ["render_page", "render_markdown", "make_plots"])
def test_nothing_is_half_written(tmp_path, full_summary, bare_summary, monkeypatch, failing):
    before = {path: path.read_bytes() for path in write_report(bare_summary, tmp_path)}

    def fail(*_):
        raise RuntimeError("stopped")

    monkeypatch.setattr(report, failing, fail)
    with pytest.raises(RuntimeError, match="stopped"):
        write_report(full_summary, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_that_cannot_be_written_leaves_no_other_half(tmp_path, full_summary):
    (tmp_path / "report.md").mkdir(parents=True)
    with pytest.raises(OSError, match=r"report\.md"):
        write_report(full_summary, tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "report.html").exists(), "the page comes last"


def test_order(full):
    assert full.said("h1") == ["Recipe human, target zh-CN"]
    assert full.said("h2") == [
        "Error against hours",
        "How many hours other languages save",
        "How much more speech?",
        "Which got worse",
        "Error of each language",
        "Which language helps which",
        "What was forgotten",
        "Examples",
        "Notes",
        "How it was made",
    ]
    order = [text for _, text in full.texts]
    answer = next(place for place, text in enumerate(order) if text.startswith("With auxiliary languages"))
    about = order.index("Human speech, one speaker a language: of new speakers nothing is said.")
    assert order.index("Recipe human, target zh-CN") < answer < about < order.index("Error against hours")


@pytest.mark.parametrize("name", ["full", "bare", "crowded"])
def test_accessible(texts, name):
    found = Page(texts[name])
    assert found.named("html")[0][1]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("role") == "img" and attributes["aria-label"] for _, attributes in found.named("svg"))
    assert len(found.named("figure")) == len(found.named("figcaption")) == len(found.named("svg")) > 0
    assert all(attributes["aria-label"] for _, attributes in found.named("table"))
    assert all(attributes["scope"] == "col" for _, attributes in found.named("th"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "ids of one plot do not meet those of another"
    targets = set(re.findall(r'(?:xlink:href|aria-labelledby)="#?([^"]+)"|url\(#([^)]+)\)', texts[name]))
    assert {one or other for one, other in targets} <= set(ids)


@pytest.mark.parametrize("name", ["full", "bare", "crowded"])
def test_stands_alone(texts, name):
    found = Page(texts[name])
    assert not found.named("link", "img", "iframe", "image", "a")
    assert not [value for _, attributes in found.tags for key, value in attributes.items() if key == "src"]
    assert not re.search(r"https?://|@import|url\((?!#)", texts[name])
    assert "default-src 'none'" in texts[name]


def test_hostile_texts_are_only_texts(full, texts):
    assert HOSTILE not in texts["full"]
    assert len(full.named("script")) == 1
    assert HOSTILE in full.said("del")
    assert f"A note with {HOSTILE} in it." in full.said("li")
    assert f"echo '{HOSTILE}' ```" in " ".join(full.said("pre"))


@pytest.mark.parametrize("field", ["recipe", "about", "language"])
def test_every_text_is_escaped(bare_summary, tmp_path, field):
    origin = replace(bare_summary.origin, **({} if field == "language" else {field: HOSTILE}))
    language = HOSTILE if field == "language" else bare_summary.language
    shown = replace(bare_summary, origin=origin, language=language)
    text = write_report(shown, tmp_path)[0].read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)" in text


def test_arm_names_are_escaped_in_plots_and_tables(bare_summary, tmp_path):
    arms = [replace(arm, arm=Arm("a", HOSTILE)) for arm in bare_summary.arms]
    text = write_report(replace(bare_summary, arms=arms), tmp_path)[0].read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;alert(1)") >= 2


WORST = "$x_1$ \\frac{ \x1b[31m\x00\u202e\ufffe ]]> --> </svg></script> {{ 7*7 }} a|b & _x_ [bold]" + "y" * 10_000


def test_the_worst_of_names_leaves_every_file_well_formed(full_summary, tmp_path):
    arm = Arm("joint", WORST)
    arms, worth = (
        [replace(one, arm=arm) for one in own[1:2]] for own in (full_summary.arms, full_summary.equivalent_hours)
    )
    summary = replace(
        full_summary,
        origin=replace(
            full_summary.origin, recipe=WORST, about=WORST, commands=[WORST], hardware=WORST, trained_by={WORST: 1}
        ),
        language=WORST,
        arms=arms,
        equivalent_hours=worth,
        worse=[replace(one, arm=arm, language=WORST) for one in full_summary.worse],
        languages=[replace(one, arm=arm, language=WORST) for one in full_summary.languages[:2]],
        examples=[replace(one, pairs=[(WORST, WORST), (None, WORST)]) for one in full_summary.examples],
        transfer=[replace(one, language=WORST) for one in full_summary.transfer],
        forgotten=[],
        notes=[WORST],
    )
    for path in write_report(summary, tmp_path):
        if path.suffix == ".png":
            continue
        text = path.read_text(encoding="utf-8")
        assert not set("\x00\x1b\u202e\ufffe") & set(text), path
        if path.suffix == ".svg":
            ElementTree.fromstring(text)
        if path.suffix == ".html":
            Page(text)
            assert text.count("</script>") == 1


def test_comparison_table(texts):
    table = texts["full"][texts["full"].index("<table") :]
    rows = re.findall(r"<tr>(.*?)</tr>", table[: table.index("</table>")], flags=re.DOTALL)
    cells = [
        [
            " ".join(unescape(re.sub(r"<[^>]+>", "", cell)).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in rows
    ]
    assert len(cells) == 1 + 9
    assert cells[1][:6] == ["10 min", "alone", "0, 1, 2", "25.0 (22.5–27.5)", "62.5 (56.2–68.8)", "reference"]
    assert cells[1][6:] == ["–", "–", "3,400", "25 min", "1,116,304", "1,116,304", "4,000"]
    assert cells[3][3:8] == ["15.5 (14.0–17.0)", "38.8 (34.9–42.6)", "38.0 (28.0 to 48.0)", "< 0.001", "0.19"]
    assert re.findall(r"<strong>([^<]+)</strong>", table[: table.index("</table>")]) == ["15.5", "9.9", "5.6"]
    assert re.findall(r'data-value="([^"]+)"', rows[1])[0] == "600.0"


def test_examples_mark_words_by_more_than_colour(full, texts):
    assert full.said("del") == [HOSTILE, "men5", "zai4", "jian4"]
    assert full.said("ins") == ["ma1", "de5"]
    assert all(attributes["title"] for _, attributes in full.named("del", "ins"))
    assert re.search(r"\.words ins \{[^}]*font-weight: 700; text-decoration: underline", texts["full"])
    assert re.search(r"\.words del \{[^}]*line-through", texts["full"])
    assert [attributes["dir"] for _, attributes in full.named("div") if "dir" in attributes] == ["auto"] * 3


def test_what_cannot_be_given_is_said(texts, full):
    said = " ".join(text for _, text in Page(texts["bare"]).texts)
    for words in (
        "The hours that auxiliary languages save are not available: only alone was measured.",
        "The recipe does not describe the speech.",
        "Not available: only alone was measured.",
        "There are no recognised utterances to show.",
        "There is no arm with auxiliary languages.",
        "The commands are not known.",
    ):
        assert words in said
        assert words not in " ".join(text for _, text in full.texts)
    assert "None" not in said
    assert "Error of each language" not in Page(texts["bare"]).said("h2")


def test_a_report_on_what_has_not_learnt_says_so_and_gives_no_factor(tmp_path):
    said = " ".join(text for _, text in Page(write_report(UNLEARNT, tmp_path)[0].read_text(encoding="utf-8")).texts)
    assert "The hours that auxiliary languages save are not available: no run has learnt. Train longer." in said
    assert "Not available: no arm has learnt." in said
    assert "Not learnt: alone and joint." in said
    assert "F =" not in said
    assert not [word for word in ("nan", "inf", "saves", "costs", "harm") if word in said.lower().split()]
    assert not (tmp_path / "plots" / "report-equivalent-hours.png").exists()


def test_an_arm_that_has_not_learnt_has_a_row_without_hours(tmp_path, full_summary):
    summary = replace(full_summary, not_learnt=[NotLearnt("zh-CN", Arm("middle"), 600.0, [0], 1)])
    text = write_report(summary, tmp_path)[1].read_text(encoding="utf-8")
    assert "| 10 min | middle | has not learnt | – | – |" in text


def test_errors_where_alone_has_none_are_named(tmp_path, full_summary):
    arms = [replace(arm, reduction=None) if arm.arm == Arm("joint") else arm for arm in full_summary.arms]
    text = write_report(replace(full_summary, worse=[], arms=arms), tmp_path)[1].read_text(encoding="utf-8")
    assert "These have errors where alone has none, so that no reduction can be given: joint with 10 min" in text


def test_more_speech_is_predicted_or_refused(texts):
    assert "nothing is predicted, since its error rises" in texts["full"]
    assert "Speech for 5 %" in texts["full"]
    assert "How much more speech" not in texts["bare"]


def test_no_negative_transfer_is_said(tmp_path, full_summary):
    text = write_report(replace(full_summary, worse=[]), tmp_path)[0].read_text(encoding="utf-8")
    assert "None: whatever was tried had no more errors than alone." in text


def test_figures_that_are_missing_are_named(tmp_path, full_summary):
    joint = full_summary.arms[1]
    alone_elsewhere = replace(full_summary.arms[0], budget_s=60.0)
    without_alone = write_report(replace(full_summary, arms=[alone_elsewhere, joint]), tmp_path)[0]
    assert "alone not measured" in without_alone.read_text(encoding="utf-8")
    unknown = replace(joint, reduction=None, p_value=None, mapsswe_z=[])
    text = write_report(replace(full_summary, arms=[full_summary.arms[0], unknown]), tmp_path)[0].read_text(
        encoding="utf-8"
    )
    assert text.count("not given") == 1


@pytest.mark.parametrize(("by_seed", "said"), [([-2.6, -1.96], "0.050"), ([-2.6, 1.96], "seeds disagree")])
def test_seeds_that_point_in_opposite_directions_are_no_evidence(tmp_path, full_summary, by_seed, said):
    joint = replace(full_summary.arms[1], mapsswe_z=by_seed)
    page = write_report(replace(full_summary, arms=[full_summary.arms[0], joint]), tmp_path)[0]
    assert said in Page(page.read_text(encoding="utf-8")).said("td")


def test_a_transfer_map_alone(tmp_path, full_summary):
    path = write_report(replace(full_summary, arms=[], equivalent_hours=[], examples=[]), tmp_path)[0]
    found = Page(path.read_text(encoding="utf-8"))
    assert found.said("h1") == ["Recipe human, transfer map"]
    assert "Error against hours" not in found.said("h2")
    assert "zh-CN: de, en (significant: de)" in found.said("li")
    assert "de: en (all significant)" in found.said("li")


def test_plots_take_the_colours_of_the_page(texts, pages):
    svg = (pages["full"].parent / "plots" / "report-languages.svg").read_text(encoding="utf-8")
    assert page.INK in svg
    body = texts["full"][texts["full"].index("<body>") :]
    assert page.INK not in body
    assert page.PAPER not in body
    assert "DejaVu" not in body
    assert not [colour for colour in page.COLOURS if colour in body]
    assert "fill: currentColor" in body
