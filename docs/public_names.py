"""An extension of Griffe, for the API pages: a package's public names are those that its ``__init__.pyi`` lists.

The packages load these names lazily (``lazy_loader.attach_stub``), so no ``__all__`` stands in the source. A stub marks
a name as public with ``import X as X`` (typing specification, "Import conventions"); Griffe does not read that mark.
"""

from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """Lists the names of every ``__init__.pyi`` as exports of its package."""

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
