"""The gateway's public keys: PyJWT's client, made to stand a gateway that is away and tokens that name keys at random."""

import time
from typing import Any

from jwt import PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError

LIFESPAN_S = 300.0
"""How long a fetched set counts: a key that the gateway withdraws opens nothing after that."""
COOLDOWN_S = 10.0
"""An unknown key, or a gateway that is away, is not asked about more often than this."""
STALE_S = 900.0
"""While the gateway is away, the keys it told last count this long."""
TIMEOUT_S = 3.0


class KeySet(PyJWKClient):
    """Keys by id. A rotated key is found by asking anew, at most once in `COOLDOWN_S`, whoever sends what."""

    def __init__(self, url: str) -> None:
        # No cache of single keys: PyJWT's has no end, and a withdrawn key would be good for ever.
        super().__init__(url, cache_keys=False, lifespan=LIFESPAN_S, timeout=TIMEOUT_S, cooldown_duration=COOLDOWN_S)
        self._last: tuple[float, Any] | None = None
        self._failed: tuple[float, PyJWKClientConnectionError] | None = None

    def fetch_data(self) -> Any:
        """The set as the gateway tells it; raises PyJWKClientConnectionError, a recent one again without asking.

        A gateway that answers with anything but keys (a proxy's page, an empty set) is away as well: whoever holds a good
        token has done nothing wrong, and whoever sends made-up ones must not make us ask each time.
        """
        if self._failed is not None and time.monotonic() - self._failed[0] < COOLDOWN_S:
            raise PyJWKClientConnectionError(str(self._failed[1]))
        try:
            fetched = self._fetched()
        except PyJWKClientConnectionError as failure:
            self._failed = (time.monotonic(), failure)
            raise
        self._failed, self._last = None, (time.monotonic(), fetched)
        return fetched

    def _fetched(self) -> Any:
        try:
            fetched = super().fetch_data()
            self._get_signing_keys_from_jwk_set(PyJWKSet.from_dict(fetched))
        except PyJWKClientConnectionError:
            raise
        except (PyJWTError, ValueError, RecursionError, OSError) as nonsense:
            if self.jwk_set_cache is not None:
                # A set without a key to sign with is already in there.
                self.jwk_set_cache.put(None)
            raise PyJWKClientConnectionError(f"what the gateway tells is no set of keys: {nonsense}") from nonsense
        return fetched

    def get_jwk_set(self, refresh: bool = False) -> PyJWKSet:
        """The set; while the gateway is away, the last one it told."""
        try:
            return super().get_jwk_set(refresh)
        except PyJWKClientConnectionError:
            if self._last is None or time.monotonic() - self._last[0] > STALE_S:
                raise
            return PyJWKSet.from_dict(self._last[1])
