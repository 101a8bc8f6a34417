"""Expenses: amounts by kind, their totals, and a budget."""

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import back, do, go, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, form_field, item, line

__all__ = ["KINDS", "Expenses", "dollars"]

KINDS = ("food", "travel", "home", "fun")


def dollars(amount: str) -> int:
    """Converts an amount to a number.

    Args:
        amount: The amount as typed.

    Returns:
        The number that its digits form; 0 if it has none.
    """
    return int("".join(c for c in amount if c.isdigit()) or 0)


class Expenses(Collection):
    """The app: expenses by name, each with an amount in dollars."""

    name = "expenses"
    colour = (44, 122, 98)
    one, table = "expense", "expenses"
    fields = (Field("name"), Field("amount"), Field("kind", "choice", KINDS, default="food"))
    beside = "amount"
    more = "create table budget (amount text not null); insert into budget values ('$500');"

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns the button that leads to the totals."""
        return (button("totals", go("totals")),)

    def totals(self, ctx: Context) -> Screen:
        """Shows the total of every kind and the budget."""
        spent = dict.fromkeys(KINDS, 0)
        for kind, amount in ctx.all("select kind, amount from expenses"):
            spent[kind] += dollars(amount)
        (budget,) = ctx.one("select amount from budget")
        body = [line(kind, f"${total}") for kind, total in spent.items()]
        return Screen("totals", (item("budget", budget, tap=go("budget")), *body))

    def budget(self, ctx: Context) -> Screen:
        """Shows the form for the budget."""
        (old,) = ctx.one("select amount from budget")
        amount = ctx.draft("budget", old)
        save = do(sql("update budget set amount = ?", amount), back(), toast("saved"))
        return Screen("budget", (form_field("budget", amount),), (button("save", save),))
