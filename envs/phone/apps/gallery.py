"""Gallery: the camera's photos and videos, in albums."""

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import go
from homeostat.envs.phone.ui import Context, Screen, Widget, button, line

__all__ = ["ALBUMS", "Gallery"]

ALBUMS = ("roll", "family", "trips", "work")


class Gallery(Collection):
    """The app: photos and videos by name."""

    name = "gallery"
    colour = (72, 96, 160)
    one, table, shared = "photo", "photos", True
    fields = (
        Field("name"),
        Field("album", "choice", ALBUMS, default="roll"),
        Field("fav", "switch", default="off"),
        Field("kind", "fact", default="photo"),
        Field("day", "fact", default="today"),
    )
    beside = "fav"
    new = False

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns the button that leads to the albums."""
        return (button("albums", go("albums")),)

    def albums(self, ctx: Context) -> Screen:
        """Shows the number of items in each album."""
        counts = dict(ctx.all("select album, count(*) from photos group by album"))
        return Screen("albums", tuple(line(album, str(counts.get(album, 0))) for album in ALBUMS))
