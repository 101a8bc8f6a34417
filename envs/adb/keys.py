"""Android's key codes, by number and name as in the Android reference (``android.view.KeyEvent``)."""

from __future__ import annotations

from string import ascii_lowercase, digits

from homeostat.envs.adb.handset import Handset

__all__ = ["chord", "press"]

_BUTTONS = {"HOME": "Home", "BACK": "Back", "ENTER": "Enter", "NUMPAD_ENTER": "Enter", "MENU": "Menu", "ESCAPE": "Back"}
_NAMES = {
    **{3: "HOME", 4: "BACK", 5: "CALL", 6: "ENDCALL", 17: "STAR", 18: "POUND", 19: "DPAD_UP", 20: "DPAD_DOWN"},
    **{21: "DPAD_LEFT", 22: "DPAD_RIGHT", 23: "DPAD_CENTER", 24: "VOLUME_UP", 25: "VOLUME_DOWN", 26: "POWER"},
    **{27: "CAMERA", 28: "CLEAR", 55: "COMMA", 56: "PERIOD", 57: "ALT_LEFT", 58: "ALT_RIGHT", 59: "SHIFT_LEFT"},
    **{60: "SHIFT_RIGHT", 61: "TAB", 62: "SPACE", 66: "ENTER", 67: "DEL", 68: "GRAVE", 69: "MINUS", 70: "EQUALS"},
    **{71: "LEFT_BRACKET", 72: "RIGHT_BRACKET", 73: "BACKSLASH", 74: "SEMICOLON", 75: "APOSTROPHE", 76: "SLASH"},
    **{77: "AT", 81: "PLUS", 82: "MENU", 83: "NOTIFICATION", 84: "SEARCH", 85: "MEDIA_PLAY_PAUSE", 92: "PAGE_UP"},
    **{93: "PAGE_DOWN", 111: "ESCAPE", 112: "FORWARD_DEL", 113: "CTRL_LEFT", 114: "CTRL_RIGHT", 122: "MOVE_HOME"},
    **{123: "MOVE_END", 160: "NUMPAD_ENTER", 164: "VOLUME_MUTE", 187: "APP_SWITCH", 220: "BRIGHTNESS_DOWN"},
    **{221: "BRIGHTNESS_UP", 223: "SLEEP", 224: "WAKEUP", 277: "CUT", 278: "COPY", 279: "PASTE"},
    **{7 + int(d): d for d in digits},
    **{29 + i: c.upper() for i, c in enumerate(ascii_lowercase)},
}
_TYPED = {
    **{"SPACE": " ", "PERIOD": ".", "COMMA": ",", "MINUS": "-", "EQUALS": "=", "SLASH": "/", "AT": "@", "PLUS": "+"},
    **{"GRAVE": "`", "LEFT_BRACKET": "[", "RIGHT_BRACKET": "]", "BACKSLASH": "\\", "SEMICOLON": ";"},
    **{"APOSTROPHE": "'", "STAR": "*", "POUND": "#"},
    **{c.upper(): c for c in ascii_lowercase + digits},
}


def _name(key: str) -> str:
    """A key's name. Raises ``ValueError`` if there is no such key."""
    if key.isdecimal() and int(key[:9]) < 400:
        return _NAMES.get(int(key), "UNKNOWN")
    name = key.upper().removeprefix("KEYCODE_")
    if name not in _NAMES.values():
        raise ValueError(key)
    return name


def press(handset: Handset, key: str) -> None:
    """Presses a key. Keys of functions that this phone lacks, such as the volume, have no effect.

    Args:
        handset: The phone.
        key: The key's name (``KEYCODE_HOME``, ``HOME``) or number.

    Raises:
        ValueError: There is no such key.
    """
    name = _name(key)
    if name in _BUTTONS:
        handset.press(_BUTTONS[name])
    elif name in _TYPED:
        handset.type(_TYPED[name])
    elif name == "DEL":
        handset.backspace()
    elif name == "MOVE_END":
        handset.deselect()
    elif name == "NOTIFICATION":
        handset.shade(True)


def chord(handset: Handset, keys: list[str]) -> None:
    """Presses several keys at once. Ctrl-A selects all text, and other combinations have no effect.

    Args:
        handset: The phone.
        keys: The keys' names or numbers.

    Raises:
        ValueError: There is no such key.
    """
    names = {_name(k) for k in keys}
    if "A" in names and names & {"CTRL_LEFT", "CTRL_RIGHT"}:
        handset.select_all()
