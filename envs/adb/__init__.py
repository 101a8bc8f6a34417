"""The phone simulator over adb: a daemon that unmodified adb clients connect to."""

from homeostat.envs.adb.daemon import PhoneDaemon
from homeostat.envs.adb.handset import Handset

__all__ = ["Handset", "PhoneDaemon"]
