"""The page in a browser, as its readers have it."""

import pytest
from chromium import launched

REPORTS = ("full", "bare", "crowded")

# Colours as the browser painted them, blended into what lies behind.
CONTRAST = """() => {
  const number = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = number(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found.slice(0, 3);
    }
    throw new Error("no background");
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const result = {};
  for (const chosen of ["h1", "p", ".subtitle", ".about strong", "figcaption", "td", "td small", "th", "summary", "del",
                        "ins", "pre", "dt", ".pair > :last-child", "svg text"]) {
    const element = document.querySelector(chosen);
    if (!element) continue;
    const style = getComputedStyle(element);
    const ink = number(element.closest("svg") ? style.fill : style.color).slice(0, 3);
    result[chosen] = ratio(light(ink), light(paper(element)));
  }
  return result;
}"""


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def show(browser, pages):
    """`show(report, **settings of the window)` -> the page; at the end nothing may have gone wrong in any of them."""
    contexts, problems, requests = [], [], []

    def opened(name: str, **settings):
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
    assert set(requests) <= {path.as_uri() for path in pages.values()}


def column(page, number: int, table: int = 0) -> list[str]:
    return page.locator("table").nth(table).locator(f"tbody td:nth-child({number})").all_inner_texts()


def press(page, head: str):
    button = page.locator("table").first.get_by_role("button", name=head, exact=True)
    button.focus()
    page.keyboard.press("Enter")


@pytest.mark.parametrize("name", REPORTS)
def test_plots_are_drawn(show, name):
    page = show(name)
    boxes = [plot.bounding_box() for plot in page.locator("svg").all()]
    assert len(boxes) == {"full": 6, "bare": 1, "crowded": 6}[name]
    assert all(box["width"] > 300 and box["height"] > 100 for box in boxes)
    drawn = page.evaluate("[...document.querySelectorAll('svg')].map((svg) => svg.querySelector('g').getBBox().width)")
    assert all(width > 300 for width in drawn)
    assert page.evaluate("typeof window.alert") == "function"
    assert page.locator("script").count() == 1


def test_a_click_sorts_and_another_turns_it_round(show):
    page = show("full")
    before = column(page, 4)
    head = page.locator("table").first.locator("th").nth(3)
    head.get_by_role("button").click()
    rising = column(page, 4)
    values = [float(text.split()[0]) for text in rising]
    assert values == sorted(values)
    assert rising != before
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert column(page, 4) == rising[::-1]
    assert head.get_attribute("aria-sort") == "descending"


def test_keys_sort_and_numbers_are_not_texts(show):
    page = show("crowded")
    press(page, "Target speech")
    budgets = list(dict.fromkeys(column(page, 1)))
    assert budgets == ["10 min", "30 min", "1 h", "4 h", "20 h", "100 h"]
    press(page, "Target speech")
    assert list(dict.fromkeys(column(page, 1))) == budgets[::-1]
    press(page, "Arm")
    arms = column(page, 2)
    assert (arms[0], arms[-1]) == ("a_way_of_training_with_a_name_that_never_ends_number_1", "pretrain_finetune")
    marked = page.locator("table").first.locator("th[aria-sort]")
    assert marked.all_inner_texts() == ["Arm"], "only one column is the sorted one"


def test_cells_without_a_value_stay_last(show):
    page = show("full")
    for order in ("ascending", "descending"):
        press(page, "CER reduced by %")
        found = column(page, 6)
        assert found[-3:] == ["reference"] * 3, order
        values = [float(text.split()[0].replace("−", "-")) for text in found[:-3]]
        assert values == sorted(values, reverse=order == "descending")


def test_rows_stay_whole_when_sorted(show):
    page = show("full")
    rows = page.locator("table").first.locator("tbody tr")
    before = sorted(rows.all_inner_texts())
    press(page, "WER %")
    assert sorted(rows.all_inner_texts()) == before


@pytest.mark.parametrize("name", REPORTS)
def test_a_phone_does_not_scroll_sideways(show, name):
    page = show(name, viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True)
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    table = page.locator(".scroller").filter(has=page.locator("table")).first
    assert table.evaluate("(box) => box.scrollWidth > box.clientWidth"), "the table scrolls in its own box"
    plot = page.locator("svg").first.bounding_box()
    assert 300 < plot["width"] <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["full", "bare"])
def test_texts_stand_out(show, scheme, name):
    found = show(name, color_scheme=scheme).evaluate(CONTRAST)
    assert len(found) >= 8
    assert {chosen: ratio for chosen, ratio in found.items() if ratio < 4.5} == {}


def test_a_dark_page_is_dark_in_text_and_plots(show):
    def colours(scheme: str) -> list[str]:
        return show("full", color_scheme=scheme).evaluate(
            """() => [
                getComputedStyle(document.body).backgroundColor,
                getComputedStyle(document.querySelector("svg path")).fill,
                getComputedStyle(document.querySelector("svg text")).fill,
                getComputedStyle(document.querySelector("svg text")).fontFamily,
            ]"""
        )

    light, dark = colours("light"), colours("dark")
    assert light[0] == light[1] == "rgb(255, 255, 255)"
    assert dark[0] == dark[1] == "rgb(20, 24, 29)"
    assert light[2] != dark[2]
    assert light[3] == dark[3] != "DejaVu Sans"


def test_all_of_the_heat_map_can_be_read(show):
    page = show("crowded", viewport={"width": 390, "height": 844})
    box = page.locator("section", has_text="Which language helps which").locator(".scroller").first
    inside, outside = box.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert inside > 1.5 * outside, "it scrolls in its own box, not shrunk beyond reading"


def test_paper_is_white(show):
    page = show("full", color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')") == "#ffffff"
