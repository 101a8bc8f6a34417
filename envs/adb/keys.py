"""Android's key codes, as far as a phone without a keyboard has them.

Numbers and names: the Android reference, ``android.view.KeyEvent``.
"""

from __future__ import annotations

from string import ascii_lowercase, digits

from homeostat.envs.adb.handset import Handset

__all__ = ["press"]

_BUTTONS = {"HOME": "Home", "BACK": "Back", "ENTER": "Enter", "NUMPAD_ENTER": "Enter", "MENU": "Menu", "ESCAPE": "Back"}
_NUMBERS = {3: "HOME", 4: "BACK", 66: "ENTER", 82: "MENU", 67: "DEL", 62: "SPACE", 111: "ESCAPE", 123: "MOVE_END"}
_NUMBERS |= {160: "NUMPAD_ENTER", 187: "APP_SWITCH", 26: "POWER", 224: "WAKEUP", 223: "SLEEP", 24: "VOLUME_UP"}
_NUMBERS |= {25: "VOLUME_DOWN", 164: "VOLUME_MUTE", 61: "TAB", 112: "FORWARD_DEL", 122: "MOVE_HOME", 56: "PERIOD"}
_NUMBERS |= {7 + int(d): d for d in digits} | {29 + i: c.upper() for i, c in enumerate(ascii_lowercase)}
_TYPED = {"SPACE": " ", "PERIOD": "."} | {c.upper(): c for c in ascii_lowercase + digits}


def press(handset: Handset, key: str) -> None:
    """A key by name (``KEYCODE_HOME``, ``HOME``) or number. Keys that mean nothing here do nothing.

    Raises ``ValueError`` for what is no key at all.
    """
    name = _NUMBERS.get(int(key), "UNKNOWN") if key.isdigit() else key.upper().removeprefix("KEYCODE_")
    if name in _BUTTONS:
        handset.press(_BUTTONS[name])
    elif name in _TYPED:
        handset.type(_TYPED[name])
    elif name == "DEL":
        handset.backspace()
    elif name == "MOVE_END":
        handset.deselect()
    elif name != "UNKNOWN" and name not in _NUMBERS.values():
        raise ValueError(f"invalid arguments for command: keyevent, {key!r} is no key")
