"""What a comparison found, as a page and as Markdown with plots, to be sent to others."""
