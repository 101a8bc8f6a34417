"""The phone's apps, by name. ``BASIC`` names the apps that are installed by default."""

from homeostat.envs.phone.apps.browser import Browser
from homeostat.envs.phone.apps.calculator import Calculator
from homeostat.envs.phone.apps.calendar import Calendar
from homeostat.envs.phone.apps.camera import Camera
from homeostat.envs.phone.apps.clock import Clock
from homeostat.envs.phone.apps.contacts import Contacts
from homeostat.envs.phone.apps.drawing import Drawing
from homeostat.envs.phone.apps.expenses import Expenses
from homeostat.envs.phone.apps.files import Files
from homeostat.envs.phone.apps.gallery import Gallery
from homeostat.envs.phone.apps.mail import Mail
from homeostat.envs.phone.apps.maps import Maps
from homeostat.envs.phone.apps.messages import Messages
from homeostat.envs.phone.apps.music import Music
from homeostat.envs.phone.apps.notes import Notes
from homeostat.envs.phone.apps.recipes import Recipes
from homeostat.envs.phone.apps.recorder import Recorder
from homeostat.envs.phone.apps.settings import Settings
from homeostat.envs.phone.apps.shop import Shop
from homeostat.envs.phone.apps.tasks import Tasks
from homeostat.envs.phone.apps.weather import Weather
from homeostat.envs.phone.ui import App

__all__ = ["APPS", "BASIC"]

_BASIC = (Calendar(), Clock(), Contacts(), Files(), Messages(), Notes(), Settings(), Shop(), Tasks())
_MORE = (
    *(Browser(), Calculator(), Camera(), Drawing(), Expenses(), Gallery(), Mail(), Maps(), Music(), Recipes()),
    *(Recorder(), Weather()),
)

APPS: dict[str, App] = {app.name: app for app in (*_BASIC, *_MORE)}
BASIC: tuple[str, ...] = tuple(app.name for app in _BASIC)
