"""Says in one line why an object store did not do what it was asked, and what to do about it.

Nothing of an error's own text is passed on but the code that the store gave it: addresses and
headers, in which there may be secrets, stand there too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.datastore.rest import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.data import Datastore

MALFORMED = re.compile(r"[\x00-\x1f\x7f]")
_REFUSED = re.compile(r'Path "(.*?)"(?:: Encountered| contained)', re.DOTALL)
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]\w{2,60})</Code>")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
# Where obstore asks for credentials, and what it says about those that make no sense.
_ASKED = re.compile(r"latest/api/token|latest/meta-data|token request|computeMetadata|/metadata/")
_SENSELESS = re.compile(
    r"Invalid Access Key|Credential|\bSAS key|Missing\w*(Key|Secret)", re.IGNORECASE
)

_RENEW = "the credentials are refused{}; renew the secrets that they refer to"
_DENIED = "access is denied{}; grant permission to list and to read"
_CLOCK = "this machine's clock differs from the store's{}; set it right"
_GONE = "the container or bucket does not exist{}; create it or correct the url"
_REGION = "the bucket is in another region{}; correct region"
_BUSY = "the store cannot answer now{}; it is asked again later"
_BY_CODE = {
    "SignatureDoesNotMatch": _RENEW,
    "InvalidAccessKeyId": _RENEW,
    "AuthenticationFailed": _RENEW,
    "AuthorizationFailure": _RENEW,
    "ExpiredToken": _RENEW,
    "InvalidToken": _RENEW,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "NoSuchBucket": _GONE,
    "ContainerNotFound": _GONE,
    "ContainerBeingDeleted": _GONE,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
}
_BY_STATUS = {"301": _REGION, "401": _RENEW, "403": _DENIED, "404": _GONE}


def refused_name(error: Exception) -> str | None:
    """Give the object's name that made obstore refuse a listing; None where it was none."""
    found = _REFUSED.search(str(error))
    return found and found[1]


def why(error: BaseException, store: Datastore, credentials: Iterable[str]) -> str:
    """Give the cause and the way out; ``credentials`` are the names of those that were given."""
    text = str(error)
    if isinstance(error, Refusal):
        status, _, code = text.partition(" ")
    else:
        found = (_STATUS.search(text), _CODE.search(text))
        status, code = (it[1] if it else "" for it in found)
    if status:
        known = _BY_CODE.get(code) or _BY_STATUS.get(status)
        if known is None and status.startswith("5"):
            known = _BUSY
        shown = f" ({status} {code})" if code else f" ({status})"
        return (known or "the request is refused{}; correct what is said of the store").format(
            shown
        )
    kind = _KIND.search(text)
    if kind and _ASKED.search(text):
        return (
            "no credentials are found on this machine; give the datastore some, set their "
            "environment variables, or say anonymous: true"
        )
    if isinstance(error, TimeoutError) or (kind and kind[1] == "Timeout"):
        return "the store does not answer in time; see to the network, or it is asked again later"
    if isinstance(error, OSError) or kind:
        where = store.endpoint or "its provider"
        return f"the store at {where} cannot be reached or breaks off; see to the network"
    if _SENSELESS.search(text):
        names = ", ".join(credentials) or "what the environment says"
        return f"the credentials make no sense; correct {names}"
    return f"the store cannot be read ({type(error).__name__}); correct what is said of it"
