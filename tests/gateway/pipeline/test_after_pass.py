"""What VKP took is noted; what it only answered is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import Account, Envelope
from gateway.pipeline.after_pass import _done
from gateway.surfaces import vkp_r4
from gateway.surfaces.soap import surface as vkp_soap
from gateway.surfaces.vkp_stu3 import surface as vkp_stu3

ACCOUNT = Account("r-1", Envelope("vkp-stu3", None, None, None, None, None), None, None, None, "passed")


def answer(code: str) -> bytes:
    """Return a message that answers a message."""
    header = {"resourceType": "MessageHeader", "response": {"identifier": "x", "code": code}}
    return json.dumps({"resourceType": "Bundle", "type": "message", "entry": [{"resource": header}]}).encode()


def apprec(status: str) -> bytes:
    """Return the AppRec that answers a MsgHead."""
    start = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><r><AppRec>'
    return f'{start}<Status V="{status}"/></AppRec></r></e:Body></e:Envelope>'.encode()


@pytest.mark.parametrize(
    ("surface", "body", "accepted"),
    [
        (vkp_stu3, answer("ok"), True),
        (vkp_stu3, answer("fatal-error"), False),
        (vkp_stu3, answer("transient-error"), False),
        (vkp_stu3, b"", False),
        (vkp_r4, b"", True),
        (vkp_soap, apprec("1"), True),
        (vkp_soap, apprec("2"), False),
        (vkp_soap, b"", False),
    ],
    ids=["ok", "fatal-error", "transient-error", "unreadable", "r4", "apprec 1", "apprec 2", "no soap"],
)
def test_success_of_http_is_no_success_of_a_message(surface: Any, body: bytes, accepted: bool) -> None:
    """A STU3 message that VKP refused within a 200 must be delivered when its sender repeats it after the route has moved."""
    noted: list[int] = []
    rehearsed: list[int] = []
    _done(
        lambda _account, status, _body: noted.append(status),
        lambda _reference, status, _body: rehearsed.append(status),
        *(surface, ACCOUNT, 200, b"{}", body),
    )
    assert noted == rehearsed
    assert (noted[0] < 300) is accepted
