"""How Sphinx builds this documentation; CI builds it with warnings as errors."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain
    from sphinx.environment import BuildEnvironment

project = "lbtransport"
author = "lbtransport contributors"
project_copyright = "2026, lbtransport contributors"
release = version_of("lbtransport")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "examples"]

html_theme = "furo"
html_title = f"lbtransport {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# No reference of our own may dangle. Those to other projects need their inventories
# from the network, and a build must not depend on that.
nitpick_ignore_regex = [
    ("py:.*", r"(?!lbtransport\b).*"),
    ("py:class", r"lbtransport\..*\.(\w*T|[A-Z])"),  # type variables have no page
    # What only the package itself makes or passes on.
    ("py:class", r"lbtransport\._selection\.Ledger"),
    ("py:class", r"lbtransport\._backends\.BackendState"),
    ("py:class", r"lbtransport\.\w+\._\w+"),
]

PUBLIC_MODULES = (
    "lbtransport",
    "lbtransport.events",
    "lbtransport.strategies",
    "lbtransport.testing",
    "lbtransport.testing.scenarios",
    "lbtransport.requests",
    "lbtransport.httpx",
    "lbtransport.httpx2",
)


def skip_aliases(  # noqa: PLR0917 - Sphinx's signature
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out what a NamedTuple says of its fields: its docstring says more."""
    text = getattr(member, "__doc__", None) or ""
    return True if text.startswith("Alias for field number") else None


def resolve_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Lead a reference to where a name is defined to where it is public.

    Annotations know a class by the private module that defines it, and its page by the
    public one that exports it.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("lbtransport."):
        return None
    domain: PythonDomain = env.domains.python_domain
    parts = target.split(".")
    # The name itself, or an attribute of it: "Outcome" or "Outcome.success".
    for name in (parts[-1], ".".join(parts[-2:])):
        for module in PUBLIC_MODULES:
            known = domain.objects.get(f"{module}.{name}")
            if known is not None:
                return make_refnode(
                    app.builder, node["refdoc"], known.docname, known.node_id, content
                )
    return None


def setup(app: Sphinx) -> None:
    """Register what this page adds to Sphinx."""
    app.connect("missing-reference", resolve_public_name)
    app.connect("autodoc-skip-member", skip_aliases)
