"""The failures of the Hugging Face hub in one line each: what was asked for, what is wrong with it, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeostat.errors import HubError
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["hub_failures"]


@contextmanager
def hub_failures(name: str, what: str, revision: str | None) -> Iterator[None]:
    """Within it, what huggingface_hub raises becomes a ``HubError`` of one line.

    Args:
        name: The name on the hub.
        what: What it holds, such as ``"calibration"``.
        revision: The version that is asked for; None for the newest.

    Yields:
        Nothing.

    Raises:
        HubError: Anything went wrong; the message names what, and the fix.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError:
        raise HubError(f"{quoted(name)} can't be a name on the hub; write ORG/NAME") from None
    except errors.GatedRepoError:
        raise HubError(
            f"{name!r} on the hub is gated; accept its conditions there, and log in: hf auth login"
        ) from None
    except errors.RepositoryNotFoundError:
        raise HubError(
            f"no {what} {name!r} here or on the hub; check the spelling, or log in for a private one: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{name!r} on the hub has no revision {revision!r}; give a branch, a tag or a commit") from None
    except errors.RemoteEntryNotFoundError as error:
        missing = str(getattr(error.response, "url", "")).rpartition("/")[2] or "such file"
        raise HubError(f"{name!r} on the hub holds no {missing}; it is no {what}") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        from huggingface_hub import constants

        why = "HF_HUB_OFFLINE is set; unset it" if constants.HF_HUB_OFFLINE else "the hub can't be reached"
        raise HubError(f"{what} {name!r} is not here and not in the local cache, and {why}, or give a folder") from None
    except errors.LocalTokenNotFoundError:
        raise HubError(f"{name!r} on the hub needs a token; log in: hf auth login") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        fix = "log in with a token that may write: hf auth login" if status in (401, 403) else "try again later"
        raise HubError(f"the hub refuses {name!r} ({status}{_reason(error)}); {fix}") from None
    except Exception as error:  # httpx, ssl and socket each have errors of their own
        kind = type(error).__name__
        raise HubError(f"{what} {name!r} is not here, and the hub can't be reached ({kind}); give a folder") from None


def _reason(error: Exception) -> str:
    """The server's own words, if it gave any, on one line."""
    said = getattr(error, "server_message", None)
    return f": {clipped(visible(' '.join(str(said).split())), 160)}" if said else ""
