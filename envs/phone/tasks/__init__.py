"""The phone's atomic task templates, by name. ``BASIC`` holds the templates of the basic apps.

The order of both tables is fixed: seeded draws choose from them by position.
"""

from homeostat.envs.phone.tasks import (
    browser,
    browser_lists,
    calculator,
    calendar,
    camera,
    clock,
    contacts,
    drawing,
    expenses,
    files,
    gallery,
    mail,
    maps,
    messages,
    music,
    notes,
    recipes,
    recorder,
    settings,
    shop,
    system,
    tasks,
    weather,
)
from homeostat.envs.phone.tasks.base import Template

__all__ = ["BASIC", "TEMPLATES"]

_BASIC = (settings, contacts, messages, notes, tasks, calendar, clock, files, shop, system)
_MORE = (
    *(browser, browser_lists, calculator, camera, drawing, expenses, gallery, mail, maps, music, recipes, recorder),
    weather,
)
BASIC: dict[str, Template] = {t.name: t for app in _BASIC for t in app.TEMPLATES}
TEMPLATES: dict[str, Template] = BASIC | {t.name: t for app in _MORE for t in app.TEMPLATES}
