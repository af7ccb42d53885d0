"""Render the page templates: self-contained HTML, and Markdown."""

from __future__ import annotations

from pathlib import Path

from mlops.outputs import write_text


def render(path: Path, template: str, **values: object) -> None:
    """Write ``templates/<template>``, filled with ``values``, to ``path``.

    Values are escaped in HTML; a missing value is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    pages = Environment(
        loader=PackageLoader("mlops"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    write_text(path, pages.get_template(template).render(**values))
