"""Settings: switches, choices, the phone's name, and facts about the phone. It also owns the table of notifications."""

from homeostat.envs.phone.effects import back, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, Widget, button, form_field, item, line, toggle

__all__ = ["CHOICES", "PAGES", "SWITCHES", "Settings"]

SWITCHES: dict[str, tuple[str, ...]] = {
    "network": ("wi-fi", "bluetooth", "airplane", "hotspot"),
    "display": ("rotate", "zoom"),
    "sound": ("vibrate", "quiet"),
    "security": ("location", "lock", "backup"),
}
CHOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "bright": ("display", ("low", "medium", "high")),
    "timeout": ("display", ("15s", "60s", "never")),
    "volume": ("sound", ("mute", "soft", "loud")),
    "tone": ("sound", ("bell", "chime", "wave")),
}
PAGES = ("network", "display", "sound", "security", "about")


class Settings(App):
    """The app: pages of switches and choices over one key-value table."""

    name = "settings"
    colour = (84, 96, 116)
    first = "main"
    traces = frozenset({"notifications"})
    schema = """
        create table settings (key text primary key, value text not null);
        create table notifications (id integer primary key, app text not null, text text not null);
    """

    def main(self, ctx: Context) -> Screen:
        """Shows the list of pages."""
        return Screen(
            "settings", tuple(item(p, tap=go("page", page=p) if p != "about" else go("about")) for p in PAGES)
        )

    def page(self, ctx: Context) -> Screen:
        """Shows the choices and switches of one page."""
        page = ctx.params["page"]
        rows: list[Widget] = []
        for key, (on, options) in CHOICES.items():
            if on == page:
                (value,) = ctx.one("select value from settings where key = ?", key)
                choose = [(o, sql("update settings set value = ? where key = ?", o, key)) for o in options]
                rows.append(item(key, value, tap=menu(key, *choose)))
        for key in SWITCHES[page]:
            (value,) = ctx.one("select value from settings where key = ?", key)
            flip = sql("update settings set value = ? where key = ?", "off" if value == "on" else "on", key)
            rows.append(toggle(key, value == "on", flip))
        return Screen(page, tuple(rows))

    def about(self, ctx: Context) -> Screen:
        """Shows facts about the phone."""
        rows = [
            line(k, ctx.one("select value from settings where key = ?", k)[0])
            for k in ("version", "storage", "battery")
        ]
        (name,) = ctx.one("select value from settings where key = 'name'")
        return Screen("about", (item("name", name, tap=go("rename")), *rows))

    def rename(self, ctx: Context) -> Screen:
        """Shows the form for the phone's name."""
        (name,) = ctx.one("select value from settings where key = 'name'")
        value = ctx.draft("name", name)
        save = do(sql("update settings set value = ? where key = 'name'", value), back(), toast("saved"))
        return Screen("rename", (form_field("name", value),), (button("save", save),))
