"""An extension of Griffe, for the API pages: public names from the stubs, and docstrings in Markdown.

The packages load their names lazily (``lazy_loader.attach_stub``), so no ``__all__`` stands in the source. A stub marks
a name as public with ``import X as X`` (typing specification, "Import conventions"); Griffe does not read that mark.

Docstrings name other objects with roles of Sphinx and begin literal blocks with two colons. Markdown knows neither.
"""

import re
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`(?:[^`<]*<)?(~?)([\w.]+)>?`")
LITERAL = re.compile(r"^( *)(\S.*)?::$", re.MULTILINE)


def as_markdown(text: str) -> str:
    """Writes roles as code, and the colons in front of a literal block as one or none.

    Args:
        text: A docstring.

    Returns:
        The docstring in Markdown.
    """
    text = ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", text)
    return LITERAL.sub(lambda line: f"{line[1]}{line[2]}:" if line[2] else "", text)


class PublicNames(griffe.Extension):
    """Lists the names of every ``__init__.pyi`` as exports of its package, and rewrites docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites an object's docstring.

        Args:
            obj: The object, a moment after it was read.
        """
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Marks the names of one top-level package and of all packages in it.

        Args:
            pkg: The package, with its stubs merged.
        """
        waiting = [pkg]
        while waiting:
            module = waiting.pop()
            waiting += [member for member in module.members.values() if isinstance(member, griffe.Module)]
            if "lazy_loader" in module.members:
                imported = [name for name, member in module.members.items() if member.is_alias]
                module.exports = [name for name in imported if name != "lazy_loader"]
