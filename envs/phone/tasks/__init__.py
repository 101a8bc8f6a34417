"""The phone's atomic task templates, by name. ``BASIC`` holds those of the basic apps."""

from homeostat.envs.phone.tasks import expenses, office, people, recipes, settings, things
from homeostat.envs.phone.tasks.base import Template

__all__ = ["BASIC", "TEMPLATES"]

BASIC: dict[str, Template] = {
    t.name: t for t in (*settings.TEMPLATES, *people.TEMPLATES, *office.TEMPLATES, *things.TEMPLATES)
}
TEMPLATES: dict[str, Template] = BASIC | {t.name: t for t in (*expenses.TEMPLATES, *recipes.TEMPLATES)}
