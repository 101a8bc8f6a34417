"""The phone's atomic task templates, by name. ``BASIC`` holds those of the basic apps."""

from homeostat.envs.phone.tasks import (
    browser,
    browser_lists,
    calculator,
    camera,
    drawing,
    expenses,
    gallery,
    mail,
    maps,
    music,
    office,
    people,
    recipes,
    recorder,
    settings,
    things,
    weather,
)
from homeostat.envs.phone.tasks.base import Template

__all__ = ["BASIC", "TEMPLATES"]

BASIC: dict[str, Template] = {
    t.name: t for t in (*settings.TEMPLATES, *people.TEMPLATES, *office.TEMPLATES, *things.TEMPLATES)
}
_MORE = (
    *(browser, browser_lists, calculator, camera, drawing, expenses, gallery, mail, maps, music, recipes, recorder),
    weather,
)
TEMPLATES: dict[str, Template] = BASIC | {t.name: t for app in _MORE for t in app.TEMPLATES}
