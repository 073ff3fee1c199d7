"""Method and target come to the upstream byte for byte."""

from gateway.cli.doctor.harness import ANSWER, Act, Group, finish, head, head_passes
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import same

GROUP = Group("request line", "RFC 9112 sections 3.1 and 3.2, RFC 9110 section 9")


@GROUP.check("Routing folds case to compare, never to send.")
def _letter_case_of_the_path_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/MixedCase/path/UPPER"), HOST)


@GROUP.check("The part that routing reads is sent as it came as well.")
def _the_prefix_keeps_its_letter_case_and_escapes(lane: Lane) -> None:
    head_passes(lane, b"GET /EP%4A/" + lane.mark + b"/%70atient HTTP/1.1", HOST)


@GROUP.check("`%2f` and `%2F` are equivalent and still two spellings.")
def _escapes_keep_the_case_of_their_digits(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/a%2fb%2Fc%c3%A5%7e~%41"), HOST)


@GROUP.check("Nothing is decoded on the way.")
def _escaped_control_bytes_pass(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/%00/%0d%0a/%20/%25?x=%00%0A&y=%252e"), HOST)


@GROUP.check("An empty segment is a segment.")
def _double_slashes_stay(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"//a///b"), HOST)


@GROUP.check("So does one before the query.")
def _a_slash_at_the_end_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/a/?b=c/"), HOST)


@GROUP.check("Order, repeated names, plus signs and empty values.")
def _the_query_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"?b=2&a=1&a=&&c&d=x+y%20z&subscription-key=k?/:@"), HOST)


@GROUP.check("An empty query is not the same as none.")
def _a_question_mark_alone_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"?"), HOST)


@GROUP.check("Sub-delimiters mean what the upstream says they mean.")
def _semicolons_and_other_reserved_letters_stay(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/a;v=1;w/b!$&'()*+,=:@?q=(a;b)!*'"), HOST)


@GROUP.check("RFC 9112 section 3 asks for 8000 at least.")
def _a_target_of_eight_thousand_bytes_passes(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/" + b"0123456789" * 400 + b"?q=" + b"abcdefghij" * 400), HOST)


def _passes_with(method: bytes, *, announced: bytes | None) -> Act:
    def act(lane: Lane) -> None:
        fields = [] if announced is None else [b"Content-Length: %d" % len(announced)]
        sent = head(lane.line(method), HOST, *fields)
        sender = lane.send(sent + (announced or b""))
        arrived = lane.arrives(sender)
        same("the request's head", sent, arrived.head.raw)
        same("the body", announced or b"", arrived.wire.exactly(len(announced or b"")))
        finish(arrived.wire, sender)

    return act


def _head_passes(lane: Lane) -> None:
    sent = head(lane.line(b"HEAD"), HOST)
    sender = lane.send(sent)
    arrived = lane.arrives(sender)
    same("the request's head", sent, arrived.head.raw)
    arrived.wire.nothing_more()
    arrived.wire.write(ANSWER.removesuffix(b"ok"))
    sender.head()
    sender.nothing_more()


GROUP.add("HEAD passes", _head_passes)
for _method in (b"GET", b"DELETE", b"OPTIONS"):
    GROUP.add(f"{_method.decode()} passes", _passes_with(_method, announced=None))
for _method in (b"POST", b"PUT", b"PATCH", b"DELETE"):
    GROUP.add(f"{_method.decode()} with a body passes", _passes_with(_method, announced=b"abc"))
