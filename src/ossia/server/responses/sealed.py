"""Reasoning as a client carries it when it keeps no content: one string that only we can have made.

    ossia.1.<base64url of digest and deflated text>

It is sealed and not secret: the same client gets the same reasoning as content. Clients that are told to store nothing
keep `encrypted_content` alone and send it back; what comes back unbroken is the model's own chain of thought.
"""

import base64
import binascii
import hashlib
import hmac
import zlib

from ossia.server.clients import Client

__all__ = ["seal", "unseal"]

MARK = "ossia.1."
DIGEST = 16
"""Bytes of the digest: 128 bits."""

LONGEST = 16 << 20
"""Bytes of a text; ours are bounded by the context, far below."""


def seal(text: str, client: Client) -> str:
    """The text as a client may carry it."""
    data = zlib.compress(text.encode("utf-8", "surrogatepass"))
    return MARK + base64.urlsafe_b64encode(_digest(data, client) + data).decode("ascii")


def unseal(sealed: str, client: Client) -> str | None:
    """The text that was sealed for this client; None for anything else."""
    if not sealed.startswith(MARK):
        return None
    try:
        whole = base64.b64decode(sealed.removeprefix(MARK), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    digest, data = whole[:DIGEST], whole[DIGEST:]
    if not hmac.compare_digest(digest, _digest(data, client)):
        return None
    # Only what we have deflated ourselves comes so far; the bound holds for servers without keys too.
    try:
        text = zlib.decompressobj().decompress(data, LONGEST)
        return text.decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError):
        return None


def _digest(data: bytes, client: Client) -> bytes:
    return hmac.digest(b"ossia: sealed reasoning" + client.salt, data, hashlib.sha256)[:DIGEST]
