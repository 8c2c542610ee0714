"""A gateway for tests: keys of its own, a server that publishes them, and every kind of token made with them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from app.auth import JwtAuthenticator, UserSource
from tests.facade.scripted_server import Reply, ScriptedServer

ISSUER, AUDIENCE = "https://gateway.example.test", "orchestrator"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def published(key: rsa.RSAPrivateKey, kid: str, **more: object) -> dict[str, object]:
    """The key as a gateway publishes it."""
    told: dict[str, object] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return told | {"kid": kid, "use": "sig", "alg": "RS256"} | more


@contextmanager
def key_server(*keys: dict[str, object]) -> Iterator[ScriptedServer]:
    """A server that publishes these keys."""
    with ScriptedServer().running() as server:
        publish(server, *keys)
        yield server


def publish(server: ScriptedServer, *keys: dict[str, object]) -> None:
    """From now on these keys."""
    server.otherwise = lambda _: Reply(200, {"keys": list(keys)})


def claims(**changes: object) -> dict[str, object]:
    """The claims of a good token, with changes; None takes one away."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600, "sub": "2", "preferred_username": "ada"}
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(key: object = KEY, algorithm: str = "RS256", kid: object = "k1", **changes: object) -> str:
    """A token with these changes of its claims."""
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid})  # type: ignore[arg-type]  # wrong keys are the point


def forged_with_public_key(algorithm: str = "HS256") -> str:
    """The classic: the public key, which everybody has, taken for a shared secret."""
    secret = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = b".".join(encoded(part) for part in ({"alg": algorithm, "typ": "JWT", "kid": "k1"}, claims()))
    return (signed + b"." + _text(hmac.new(secret, signed, hashlib.sha256).digest())).decode()


def unsigned(header: object, payload: object) -> str:
    """A token of any header and payload whose signature is nonsense."""
    return b".".join((encoded(header), encoded(payload), b"bm9uc2Vuc2U")).decode()


def encoded(part: object) -> bytes:
    """A part of a token; bytes as they are."""
    return _text(part if isinstance(part, bytes) else json.dumps(part).encode())


def gateway(server: ScriptedServer, users: UserSource | None = None) -> JwtAuthenticator:
    """Takes the tokens of the gateway that this server stands for."""
    return JwtAuthenticator(ISSUER, AUDIENCE, f"{server.url}/keys", "sub", users=users)


def _text(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
