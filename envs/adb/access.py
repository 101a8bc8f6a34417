"""Who may use the phone: everybody on this machine, or whoever knows the token.

The stock adb client can't send a password, so the token is given by the first shell command of a connection:
``adb shell auth TOKEN``. Until then every other service is refused. The adb server keeps the connection to the phone
for all its clients, so one ``auth`` holds until ``adb disconnect``. adb sends everything unencrypted, the token too.
"""

from __future__ import annotations

import hmac
import ipaddress

from homeostat.errors import ConfigError

__all__ = ["TRIES", "WELCOME", "Access", "is_loopback"]

TRIES = 3
"""The number of wrong tokens after which a connection is closed."""
WELCOME = b"authorized\n"
"""The answer to the right token."""
_SHORTEST = 8


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach an address.

    Args:
        host: The name or IP address to listen on. Other names than ``localhost`` count as reachable.

    Returns:
        True if no other machine can reach it.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """The daemon's token.

    Attributes:
        required: Whether clients must give the token.
    """

    def __init__(self, host: str, token: str | None) -> None:
        """Checks that the token suits the address.

        Args:
            host: The address that the daemon listens on.
            token: The token; None if there is none.

        Raises:
            ConfigError: Other machines can reach the address and there is no token, or the token is too short or has
                characters that a shell line can't carry unquoted.
        """
        if token is None and not is_loopback(host):
            raise ConfigError(f"other machines can reach host {host!r}; give a token (--token), or listen on 127.0.0.1")
        if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable()):
            raise ConfigError(f"the token has {len(token)} characters; give at least {_SHORTEST} printable ASCII ones")
        if token is not None and (set(token) & set(" \"'\\`$;&|<>()#*?~")):
            raise ConfigError("the token has characters with a meaning in shells; use letters, digits, '-' and '_'")
        self._token = token
        self.required = token is not None

    def allows(self, line: str) -> bool | None:
        """Judges the first line of a client.

        Args:
            line: The shell line.

        Returns:
            Whether it gives the right token; None if it gives none.
        """
        match line.split():
            case ["auth", given] if self._token is not None:
                return hmac.compare_digest(given.encode(errors="replace"), self._token.encode())
        return None
