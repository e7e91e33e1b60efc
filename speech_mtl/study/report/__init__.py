"""Report of a comparison, as an HTML page and as Markdown with plots."""
