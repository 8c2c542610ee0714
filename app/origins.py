"""Which web pages may talk to the service: its own, and those of the origins that a setting names.

A browser lets any page on the web send requests to this machine. Tokens are never ambient here (no cookies), so a
foreign page can do nothing in anybody's name, except in demo mode, where no token is needed: there the `Host` header
must be this machine's, or a page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) would count as ours.
"""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class WebAccess:
    """`origins`: foreign origins whose pages may call the API. `hosts`: the only names it answers to; none: any."""

    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


OWN_PAGES_ONLY = WebAccess()


def guard(app: FastAPI, access: WebAccess) -> None:
    """Put the checks before everything else."""
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Accept-Language", "traceparent"],
            expose_headers=["Retry-After"],
            allow_credentials=False,
            max_age=600,
        )
    if access.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=access.hosts, www_redirect=False)
