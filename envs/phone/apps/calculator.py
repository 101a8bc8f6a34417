"""Calculator: arithmetic on two whole numbers, a memory, and a history of results."""

from __future__ import annotations

from homeostat.envs.phone.effects import Effect, confirm, do, go, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, item, keys, line

__all__ = ["SIGNS", "Calculator", "Display", "shown", "work_out"]

SIGNS = "+-*/"
_PAD = ("789/", "456*", "123-", "c0=+")
_DIGITS, _LARGEST = 3, 999_999  # the digits of a typed number; the largest result that fits the display
Display = tuple[str, str, str, str]  # left, sign, right, result


def work_out(left: str, sign: str, right: str) -> str:
    """Computes a calculation. A division drops the remainder.

    Args:
        left: The first number as typed.
        sign: One of ``+-*/``.
        right: The second number as typed.

    Returns:
        The result. "" if an operand is missing, the divisor is 0, or the result does not fit the display.
    """
    if not (left and sign and right) or (sign == "/" and int(right) == 0):
        return ""
    one, two = int(left), int(right)
    match sign:
        case "+":
            value = one + two
        case "-":
            value = one - two
        case "*":
            value = one * two
        case _:
            value = one // two
    return str(value) if abs(value) <= _LARGEST else ""


def shown(left: str, sign: str = "", right: str = "") -> str:
    """Formats a calculation as the display shows it.

    Args:
        left: The first number.
        sign: The sign; "" if none was typed yet.
        right: The second number; "" if none was typed yet.

    Returns:
        The text.
    """
    return f"{left or '0'} {sign} {right}".strip()


def _press(display: Display, key: str) -> Display:
    """Returns the display after a key was pressed.

    After a result, a digit starts a new calculation and a sign continues with the result.
    """
    left, sign, right, result = display
    if key == "c":
        return "", "", "", ""
    if key == "=":
        return left, sign, right, result or work_out(left, sign, right)
    if key in SIGNS:
        if result or (left and not right):
            return result or left, key, "", ""
        return display
    if result:
        return key, "", "", ""
    return (left, sign, _longer(right, key), "") if sign else (_longer(left, key), "", "", "")


def _longer(number: str, digit: str) -> str:
    if len(number) >= _DIGITS:
        return number
    return digit if number == "0" else number + digit


class Calculator(App):
    """The app: a keypad under a display."""

    name = "calculator"
    colour = (78, 84, 96)
    first = "pad"
    traces = frozenset({"display", "results"})
    schema = """
        create table display (one text not null, sign text not null, two text not null, result text not null);
        insert into display values ('', '', '', '');
        create table memory (value text not null);
        insert into memory values ('');
        create table results (id integer primary key, sum text not null, value text not null);
    """

    def pad(self, ctx: Context) -> Screen:
        """Shows the display, the keys, and the links to the memory and the history."""
        left, sign, right, result = ctx.one("select one, sign, two, result from display")
        display = (left, sign, right, result)
        (memory,) = ctx.one("select value from memory")
        value = result or (right if sign else left)
        keep = do(sql("update memory set value = ?", value), toast("kept")) if value else toast("no number")
        at = ("", "", "", "") if result else display
        recalled = (at[0], at[1], memory, "") if at[1] else (memory, "", "", "")
        recall = _set(recalled) if memory else toast("memory empty")
        rows = [keys(*((key, self._key(display, key)) for key in row)) for row in _PAD]
        return Screen(
            "calculator",
            (
                line("typed", sub=shown(left, sign, right)),
                line("result", result),
                *rows,
                item("memory", ">", tap=go("memory")),
                item("history", ">", tap=go("history")),
            ),
            (button("keep", keep), button("recall", recall)),
        )

    def _key(self, display: Display, key: str) -> Effect:
        after = _press(display, key)
        if key == "=" and after != display:
            added = sql("insert into results (sum, value) values (?, ?)", shown(*after[:3]), after[3])
            return do(_set(after), added)
        return toast("no result") if key == "=" and not after[3] else _set(after)

    def memory(self, ctx: Context) -> Screen:
        """Shows the number in memory."""
        (value,) = ctx.one("select value from memory")
        clear = do(sql("update memory set value = ''"), toast("cleared"))
        return Screen("memory", (line("holds", value or "nothing"),), (button("clear", clear),))

    def history(self, ctx: Context) -> Screen:
        """Shows the results, the latest first. A tap offers to remove one."""
        body = []
        for i, total, value in ctx.all("select id, sum, value from results order by id desc"):
            out = do(sql("delete from results where id = ?", i), toast("removed"))
            body.append(item(total, value, tap=confirm(f"remove {total}", out, "remove")))
        clear = confirm("clear history", do(sql("delete from results"), toast("cleared")), "clear")
        return Screen("history", tuple(body), (button("clear", clear),))


def _set(display: Display) -> Effect:
    return sql("update display set one = ?, sign = ?, two = ?, result = ?", *display)
