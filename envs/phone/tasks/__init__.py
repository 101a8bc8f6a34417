"""The phone's task templates, by name."""

from homeostat.envs.phone.tasks import office, people, settings, things
from homeostat.envs.phone.tasks.base import Template

__all__ = ["TEMPLATES"]

TEMPLATES: dict[str, Template] = {
    t.name: t for t in (*settings.TEMPLATES, *people.TEMPLATES, *office.TEMPLATES, *things.TEMPLATES)
}
