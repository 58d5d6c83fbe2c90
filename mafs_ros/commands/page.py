"""The pages that commands write: one file each, made of a template of Jinja."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment(package: str) -> Environment:
    """What renders the templates beside a package's code; a name that is not given is an error.

    They may include page.css, the style that pages share.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("mafs_ros.commands", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
