"""The office's tools: seven that read, and six that change something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.envs.office.world import Shelf, World
from homeostat.envs.tools.tool import tool
from homeostat.errors import ActionError

__all__ = ["READERS", "office_tools"]

READERS: dict[Shelf, tuple[str, str]] = {
    "mail": ("read_mail", "sender"),
    "agenda": ("read_agenda", "day"),
    "contact": ("find_contact", "name"),
    "note": ("read_note", "title"),
    "file": ("read_file", "name"),
    "page": ("open_page", "address"),
    "order": ("order_status", "number"),
}
"""For each shelf the tool that reads it, and the name of its argument."""


def office_tools(world: World) -> list[Callable[..., Any]]:
    """Makes the tools of an office.

    Args:
        world: The office.

    Returns:
        Functions, as :class:`~homeostat.envs.tools.ToolEnv` takes them.
    """

    def shown(shelf: Shelf, key: str) -> str:
        record = world.find(shelf, key)
        if record is None:
            raise ActionError(f"there is no {shelf} {key!r}; there are: {', '.join(world.keys(shelf))}")
        return record.text

    @tool(changes=False)
    def read_mail(sender: str) -> str:
        """Reads the mail that somebody sent to the user.

        Args:
            sender: Who sent it.
        """
        return shown("mail", sender)

    @tool(changes=False)
    def read_agenda(day: str) -> str:
        """Reads the user's meetings on a day.

        Args:
            day: The day of the week.
        """
        return shown("agenda", day)

    @tool(changes=False)
    def find_contact(name: str) -> str:
        """Finds a person's phone number.

        Args:
            name: The person.
        """
        return shown("contact", name)

    @tool(changes=False)
    def read_note(title: str) -> str:
        """Reads one of the user's notes.

        Args:
            title: The note's title.
        """
        return shown("note", title)

    @tool(changes=False)
    def read_file(name: str) -> str:
        """Reads a file.

        Args:
            name: The file's name.
        """
        return shown("file", name)

    @tool(changes=False)
    def open_page(address: str) -> str:
        """Opens a web page.

        Args:
            address: The page's address.
        """
        world.did("open_page", address)
        return shown("page", address)

    @tool(changes=False)
    def order_status(number: str) -> str:
        """Shows what was ordered and where it is.

        Args:
            number: The order's number.
        """
        return shown("order", number)

    @tool()
    def send_mail(to: str, text: str) -> str:
        """Sends a mail.

        Args:
            to: The receiver's name or address.
            text: What the mail says.
        """
        world.did("send_mail", to, text)
        return f"The mail to {to} was sent."

    @tool()
    def add_todo(text: str) -> str:
        """Adds an entry to the user's to-do list.

        Args:
            text: The entry.
        """
        world.did("add_todo", text)
        return "The entry was added."

    @tool()
    def add_meeting(day: str, time: str, title: str) -> str:
        """Adds a meeting to the user's agenda.

        Args:
            day: The day of the week.
            time: When it begins.
            title: What it is about.
        """
        world.did("add_meeting", day, time, title)
        return "The meeting was added."

    @tool()
    def delete_file(name: str) -> str:
        """Deletes a file.

        Args:
            name: The file's name.
        """
        shown("file", name)
        world.records = [r for r in world.records if r.shelf != "file" or r.key.lower() != name.strip().lower()]
        world.did("delete_file", name)
        return f"The file {name} was deleted."

    @tool()
    def delete_note(title: str) -> str:
        """Deletes a note.

        Args:
            title: The note's title.
        """
        shown("note", title)
        world.records = [r for r in world.records if r.shelf != "note" or r.key.lower() != title.strip().lower()]
        world.did("delete_note", title)
        return f"The note {title} was deleted."

    @tool()
    def pay(to: str, euros: float) -> str:
        """Pays money from the user's account.

        Args:
            to: Who gets it.
            euros: How much.
        """
        world.did("pay", to, f"{euros:g}")
        return f"{euros:g} euros were paid to {to}."

    readers = [read_mail, read_agenda, find_contact, read_note, read_file, open_page, order_status]
    return [*readers, send_mail, add_todo, add_meeting, delete_file, delete_note, pay]
