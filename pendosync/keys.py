"""The three secrets: what each is called, where it is found, and a text that shows itself nowhere."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from typing import Final, NoReturn

from pendosync.errors import SettingsError
from pendosync.regions import MASK

WHERE: Final[AbstractMapping[str, tuple[str, str, str]]] = {
    "integration_key": (
        "the integration key",
        "PENDO_INTEGRATION_KEY",
        "Settings > Integrations > Integration keys (tick 'Allow write access' to push)",
    ),
    "app_key": (
        "the app API key",
        "PENDO_APP_KEY",
        "Settings > Subscription settings > your app > App details, as 'API key'",
    ),
    "track_secret": (
        "the track event shared secret",
        "PENDO_TRACK_SECRET",
        "Settings > Subscription settings > your app > App details, as 'Track event shared secret'",
    ),
}
"""Secret → what people call it, its variable in the environment, and where it stands in Pendo."""


class Secret:
    """A text that shows itself nowhere: not in a repr, an f-string, a pickle, a traceback or a look at its attributes.

    Blanks around it are dropped.

    Example:
        >>> Secret("abc")
        Secret(***)
        >>> f"{Secret('abc')}"
        '***'
    """

    __slots__ = ("_tell",)

    def __init__(self, text: str) -> None:
        stripped = text.strip()
        self._tell: Callable[[], str] = lambda: (
            stripped
        )  # no attribute holds it: whoever lists them sees a function

    def reveal(self) -> str:
        """Return the text itself. Only transports call this."""
        return self._tell()

    @property
    def is_key(self) -> bool:
        """Whether it can be a key: not empty, no blanks, only characters that a header takes."""
        text = self.reveal()
        return bool(text) and all(33 <= ord(letter) <= 126 for letter in text)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise SettingsError(
            "A secret can't be pickled for another process. Expected each process to read its own "
            "settings. Hint: call Settings.from_env() there."
        )
