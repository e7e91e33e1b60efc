"""A summary -> report.html, report.md and plots, which people send each other."""

from pathlib import Path
from urllib.parse import quote

from speech_mtl.files import replacing
from speech_mtl.study.report.content import make_report
from speech_mtl.study.report.markdown import render_markdown
from speech_mtl.study.report.page import render_page
from speech_mtl.study.report.plots import make_plots
from speech_mtl.study.statistics.summary import Summary


def write_report(summary: Summary, folder: Path, stem: str = "report") -> list[Path]:
    """Writes `STEM.html`, `STEM.md` and `plots/STEM-*.png` and `.svg`; gives their paths, the page first.

    The page stands alone and can be sent as it is; the Markdown shows the plots beside it. Everything is made before
    anything is written. The same summary gives the same bytes.
    """
    plots = make_plots(summary)
    report = make_report(summary, plots)
    images = {name: quote(f"plots/{stem}-{name}.png") for name in plots}
    content = {
        f"{stem}.html": render_page(report).encode(),
        f"{stem}.md": render_markdown(report, images).encode(),
    }
    for name, plot in plots.items():
        content[f"plots/{stem}-{name}.png"] = plot.png
        content[f"plots/{stem}-{name}.svg"] = plot.svg.encode()
    # The plots first, so that no page speaks of one that is not there.
    for name in reversed(content):
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content[name])
    return [folder / name for name in content]
