"""A summary -> report.html, report.md and plots, which people send each other."""

from pathlib import Path
from urllib.parse import quote

from speech_mtl.files import write_text
from speech_mtl.study.report.content import make_report
from speech_mtl.study.report.markdown import render_markdown
from speech_mtl.study.report.page import render_page
from speech_mtl.study.report.plots import make_plots
from speech_mtl.study.statistics.summary import Summary


def write_report(summary: Summary, folder: Path, stem: str = "report") -> list[Path]:
    """Writes `STEM.html`, `STEM.md` and `plots/STEM-*.png` and `.svg`; returns their paths, the page first.

    The page stands alone and can be sent as it is; the Markdown shows the plots beside it. Everything is made before
    anything is written. The same summary gives the same bytes.
    """
    plots = make_plots(summary)
    report = make_report(summary, plots)
    images = {name: quote(f"plots/{stem}-{name}.png") for name in plots}
    page, text = render_page(report), render_markdown(report, images)
    for name, plot in plots.items():  # first, so that no page speaks of one that is not there
        plot.write(folder / "plots" / f"{stem}-{name}")
    write_text(folder / f"{stem}.md", text)
    write_text(folder / f"{stem}.html", page)
    names = [
        f"{stem}.html",
        f"{stem}.md",
        *(f"plots/{stem}-{name}.{kind}" for name in plots for kind in ("png", "svg")),
    ]
    return [folder / name for name in names]
