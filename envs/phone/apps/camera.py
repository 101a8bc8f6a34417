"""Camera: modes, flash, timer and grid. Its photos and videos go to the gallery."""

from homeostat.envs.phone.apps.gallery import Gallery
from homeostat.envs.phone.effects import do, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, item, line, toggle

__all__ = ["MODES", "TAKE", "TIMERS", "Camera"]

MODES = ("photo", "video", "portrait")
TIMERS = ("off", "3s", "10s")
TAKE = """insert into photos (name, kind) select mode || ' ' || (select coalesce(max(id), 0) + 1 from photos), mode
    from camera"""


class Camera(App):
    """The app: one screen with the settings and the shutter button."""

    name = "camera"
    colour = (58, 58, 66)
    first = "main"
    schema = f"""{Gallery.schema}
        create table camera (mode text not null, flash text not null, timer text not null, grid text not null);
        insert into camera values ('photo', 'off', 'off', 'off');
    """

    def main(self, ctx: Context) -> Screen:
        """Shows the settings and the shutter button."""
        mode, flash, timer, grid = ctx.one("select mode, flash, timer, grid from camera")
        last = ctx.all("select name from photos order by id desc limit 1")
        modes = menu("mode", *((m, sql("update camera set mode = ?", m)) for m in MODES))
        timers = menu("timer", *((t, sql("update camera set timer = ?", t)) for t in TIMERS))
        body = (
            item("mode", mode, tap=modes),
            toggle("flash", flash == "on", sql("update camera set flash = ?", "off" if flash == "on" else "on")),
            item("timer", timer, tap=timers),
            toggle("grid", grid == "on", sql("update camera set grid = ?", "off" if grid == "on" else "on")),
            line("last", last[0][0] if last else "none"),
        )
        return Screen("camera", body, (button("take", do(sql(TAKE), toast("taken"))),))
