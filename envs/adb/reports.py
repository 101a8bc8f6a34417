"""The reports of Android's services about the handset, with the lines that adb-based tools look for."""

from __future__ import annotations

from collections.abc import Callable

from homeostat.envs.adb.handset import Handset, package_of

__all__ = ["DUMPSYS", "banner", "density", "properties"]

_FEATURES = "shell_v2,cmd"


def density(handset: Handset) -> int:
    """Returns the screen's density. A phone's screen is 360 units of 1/160 inch wide.

    Args:
        handset: The phone.

    Returns:
        Dots per inch.
    """
    return handset.size[0] * 160 // 360


def properties(handset: Handset) -> dict[str, str]:
    """Returns the properties that ``getprop`` reports.

    Args:
        handset: The phone.

    Returns:
        Values by name.
    """
    return {
        "ro.build.version.release": "14",
        "ro.build.version.sdk": "34",
        "ro.product.brand": "homeostat",
        "ro.product.cpu.abi": "x86_64",
        "ro.product.device": "phone",
        "ro.product.manufacturer": "Homeostat",
        "ro.product.model": "Homeostat_Phone",
        "ro.product.name": "homeostat_phone",
        "ro.serialno": "homeostat",
        "ro.sf.lcd_density": str(density(handset)),
        "sys.boot_completed": "1",
    }


def banner(handset: Handset) -> bytes:
    """Returns the description that the phone sends when a client connects.

    Args:
        handset: The phone.

    Returns:
        The payload of ``CNXN``.
    """
    known = properties(handset)
    names = ("ro.product.name", "ro.product.model", "ro.product.device")
    return f"device::{''.join(f'{n}={known[n]};' for n in names)}features={_FEATURES}".encode()


def _activity(handset: Handset) -> str:
    package = package_of(handset.app)
    return f"{package}/{package}.MainActivity"


def _window(handset: Handset) -> str:
    shown = _activity(handset)
    return (
        "WINDOW MANAGER WINDOWS (dumpsys window windows)\n"
        f"  mCurrentFocus=Window{{1a2b3c u0 {shown}}}\n"
        f"  mFocusedApp=ActivityRecord{{4d5e6f u0 {shown} t1}}\n"
    )


def _activities(handset: Handset) -> str:
    record = f"ActivityRecord{{4d5e6f u0 {_activity(handset)} t1}}"
    return (
        "ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)\n"
        f"  topResumedActivity={record}\n"
        f"    mResumedActivity: {record}\n"
        f"  ACTIVITY {_activity(handset)} 4d5e6f pid=1000\n"
    )


def _display(handset: Handset) -> str:
    width, height = handset.size
    return (
        "DISPLAY MANAGER (dumpsys display)\n"
        f"  DisplayViewport{{type=INTERNAL, valid=true, orientation=0, deviceWidth={width}, deviceHeight={height}}}\n"
    )


def _battery(handset: Handset) -> str:
    return "Current Battery Service state:\n  AC powered: true\n  level: 100\n  scale: 100\n  status: 5\n"


def _input_method(handset: Handset) -> str:
    _, frame = handset.placed()
    shown = frame is not None and frame.focus is not None
    return f"Current Input Method Manager state:\n  mInputShown={'true' if shown else 'false'}\n"


DUMPSYS: dict[str, Callable[[Handset], str]] = {
    "window": _window,
    "activity": _activities,
    "display": _display,
    "power": lambda _: "POWER MANAGER (dumpsys power)\n  mWakefulness=Awake\n  mHoldingDisplaySuspendBlocker=true\n",
    "battery": _battery,
    "input_method": _input_method,
}
