"""The templates, filled. Whatever is not made here is other people's text: cleaned, and escaped."""

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dpaudit.report.plain import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["fill", "safe"]


def fill(template: str, **values: Any) -> str:
    """The template of that name (without its suffix) with these values.

    Args:
        template: "audit", "membership" or "notebook".
        values: what the template names. Text is cleaned of control characters and escaped, except what `safe` marked.

    Raises:
        jinja2.UndefinedError: the template names something that is not there.
    """
    style = _environment().get_template("style.css.j2").render().strip()
    # The page's policy allows this one style sheet, named by its hash, and nothing else.
    digest = b64encode(sha256(style.encode()).digest()).decode()
    page = _environment().get_template(f"{template}.html.j2")
    return page.render(style=safe(style), style_hash=f"sha256-{digest}", **values).strip() + "\n"


def safe(html: str) -> str:
    """`html`, which was made here, to be inserted as it is."""
    from markupsafe import Markup

    return Markup(html)


def _shown(value: Any) -> Any:
    """What an expression of a template becomes: markup as it is, text on one line."""
    from markupsafe import Markup

    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("dpaudit.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
