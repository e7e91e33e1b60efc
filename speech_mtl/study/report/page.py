"""A report -> one HTML file that needs nothing else: no network, no other file."""

import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from speech_mtl.errors import printable
from speech_mtl.study.report.blocks import Plot, Report
from speech_mtl.study.report.style import COLOURS, COLOURS_IN_THE_DARK, INK, PAPER

TEMPLATE = "report.html.jinja"


def render_page(report: Report) -> str:
    """The text of the page. Everything in it that comes from data is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalized
    )
    environment.filters["inlined"] = inlined
    template = files("speech_mtl.study.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    text = environment.from_string(template).render(report=report, colours=COLOURS, dark=COLOURS_IN_THE_DARK)
    return text.strip() + "\n"


def _finalized(value: object) -> object:
    """Removes control characters from data, which pages cannot hold and which change the direction of text."""
    return printable(value, len(value)) if type(value) is str else value


def inlined(plot: Plot) -> Markup:
    """A plot as part of the page: in its colours and font, and with ids of its own.

    It is drawn somewhat larger than in its file, gives way on narrow screens, and is scrolled when it would become
    unreadable.
    """
    svg = plot.svg[plot.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{plot.name}-", svg)
    svg = svg.replace("'DejaVu Sans', sans-serif", "var(--font)")
    svg = svg.replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    for number, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--series-{number})")
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    opening = (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(plot.title)}"'
        f' style="width: {1.7 * width:.0f}px; min-width: {0.85 * width:.0f}px">'
    )
    # Everything below was written by Matplotlib, which escapes the texts it is given.
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1))
