"""JSON Web Tokens made by hand, so that the gateway's own minting is not needed to test its checking."""

import base64
import hashlib
import hmac
import json
import time

SECRET = "a secret of the test suite, long enough for HS256"
ISSUER = "https://issuer.test/auth/v1"
AUDIENCE = "authenticated"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mint(lifetime=300, secret=SECRET, header=None, **claims):
    """A token that the suite's gateways accept, unless an argument says otherwise; a claim of `None` is left out."""
    now = int(time.time())
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "peer", "role": "authenticated", "iat": now, "exp": now + lifetime}
    body = {name: value for name, value in (body | claims).items() if value is not None}
    parts = [base64url(json.dumps(part).encode()) for part in (header or {"alg": "HS256", "typ": "JWT"}, body)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, base64url(signature)])
