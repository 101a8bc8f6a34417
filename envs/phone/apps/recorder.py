"""Recorder: voice memos with tags."""

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import back, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, item, line

__all__ = ["QUALITIES", "RECORD", "TAGS", "Recorder"]

TAGS = ("talk", "idea", "lesson")
QUALITIES = ("mono", "stereo")
RECORD = """insert into memos (name, length, tag)
    select 'memo ' || (select coalesce(max(id), 0) + 1 from memos), '8s', 'talk'"""


class Recorder(Collection):
    """The app: memos by name."""

    name = "recorder"
    colour = (170, 44, 44)
    one, table = "memo", "memos"
    fields = (
        Field("name"),
        Field("length", "fact", default="8s"),
        Field("tag", "choice", TAGS, default="talk"),
        Field("keep", "switch", default="off"),
    )
    beside = "keep"
    new = False
    more = "create table recorder (quality text not null); insert into recorder values ('mono');"

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns the buttons for a new recording and for the settings."""
        return (button("record", go("record")), button("setup", go("setup")))

    def record(self, ctx: Context) -> Screen:
        """Shows the recording in progress."""
        stop = do(sql(RECORD), back(), toast("saved"))
        return Screen("recording", (line("listening"),), (button("stop", stop), button("cancel", back())))

    def setup(self, ctx: Context) -> Screen:
        """Shows the recording quality."""
        (quality,) = ctx.one("select quality from recorder")
        options = menu("quality", *((q, sql("update recorder set quality = ?", q)) for q in QUALITIES))
        return Screen("setup", (item("quality", quality, tap=options),))
