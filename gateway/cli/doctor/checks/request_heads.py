"""The head of a request comes to the upstream byte for byte: method and target, and the fields as the sender wrote them."""

from gateway.cli.doctor.harness import ANSWER, Act, Group, fields_pass, finish, get, head, head_passes
from gateway.cli.doctor.lane import HOST, Lane
from gateway.cli.doctor.wire import Differs, require, same

FIELDS = Group("request fields", "RFC 9110 sections 5.1 to 5.5 and 7.2")


@FIELDS.check("Names are equal without their case, but not every server knows.")
def _names_keep_their_letter_case(lane: Lane) -> None:
    fields_pass(lane, b"hOST: vkp.example", b"X-lower-UPPER: 1", b"soapaction: x", b"CONTENT-LANGUAGE: nb")


@FIELDS.check("Host stands in the middle, where some clients put it.")
def _fields_keep_their_order(lane: Lane) -> None:
    fields_pass(lane, b"X-C: 1", b"Accept: */*", HOST, b"X-A: 2", b"Cookie: a=b", b"X-B: 3")


@FIELDS.check("RFC 9110 recommends Host first; a sender need not.")
def _host_stays_last_when_it_came_last(lane: Lane) -> None:
    fields_pass(lane, b"X-First: 1", b"Accept: text/xml", HOST)


@FIELDS.check("Joining them with commas would change those that hold commas.")
def _fields_of_one_name_stay_apart_and_in_order(lane: Lane) -> None:
    fields_pass(lane, HOST, b"X-Twice: b, c", b"X-Between: 1", b"x-twice: a", b"X-Twice: b, c")


@FIELDS.check("0x80 to 0xFF are opaque data (RFC 9110 section 5.5).")
def _latin_1_bytes_in_a_value_pass(lane: Lane) -> None:
    fields_pass(lane, HOST, b"X-Name: S\xf8r\xe5s \x80\x9f\xa0\xff", b"X-After: 1")


@FIELDS.check("Likewise when they happen to be UTF-8, with and without a second byte.")
def _utf_8_bytes_in_a_value_pass(lane: Lane) -> None:
    fields_pass(lane, HOST, "X-Name: Sørås €".encode(), b"X-Both: \xc3\xa5\xc3")


@FIELDS.check("An empty value is not a missing field.")
def _an_empty_value_passes(lane: Lane) -> None:
    _values_pass(lane, (b"X-Empty:", b"X-Empty", b""), (b"X-Blank: ", b"X-Blank", b""))


@FIELDS.check("They are part of the value.")
def _blanks_and_tabs_inside_a_value_stay(lane: Lane) -> None:
    fields_pass(lane, HOST, b"X-Inner: a  b\tc \t d", b'X-Quoted: "  "')


@FIELDS.check("They are no part of the value and may be written anew.")
def _blanks_around_a_value_leave_the_value_as_it_is(lane: Lane) -> None:
    _values_pass(
        lane, (b"X-None:1", b"X-None", b"1"), (b"X-Many: \t 2 \t", b"X-Many", b"2"), (b"X-End: 3 ", b"X-End", b"3")
    )


@FIELDS.check("Letter case and port are the upstream's to judge.")
def _host_passes_as_it_was_written(lane: Lane) -> None:
    fields_pass(lane, b"Host: API.Vkp.Example:8443")


@FIELDS.check("The upstream checks the sender's own token, long as it is.")
def _the_token_passes(lane: Lane) -> None:
    fields_pass(lane, HOST, b"Authorization: Bearer eyJhbGciOiJub25lIn0." + b"Ab_-" * 900 + b".c2ln")


@FIELDS.check("No User-Agent, Accept, Accept-Encoding, Via or X-Forwarded-For.")
def _a_bare_request_gets_no_field_added(lane: Lane) -> None:
    fields_pass(lane, HOST)


@FIELDS.check("No Content-Type either.")
def _a_bare_request_with_a_body_gets_no_field_added(lane: Lane) -> None:
    sender = lane.send(head(lane.line(b"POST"), HOST, b"Content-Length: 3") + b"abc")
    arrived = lane.arrives(sender)
    added = arrived.head.without(b"host", b"content-length")
    if added:
        raise Differs(f"added: {added}")
    arrived.wire.exactly(3)
    finish(arrived.wire, sender)


@FIELDS.check("What other proxies wrote is not for this one to change.")
def _fields_of_proxies_and_unknown_ones_pass(lane: Lane) -> None:
    fields_pass(
        lane,
        HOST,
        b"Via: 1.0 fred, 1.1 p.example",
        b"X-Forwarded-For: 10.0.0.1",
        b"Forwarded: for=10.0.0.1",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"Accept-Encoding: gzip;q=1.0, br",
        b"DPoP: eyJ0eXAi",
        b"X-Nobody-Knows: this",
    )


@FIELDS.check("All of `token` (RFC 9110 section 5.6.2).")
def _every_letter_that_a_name_may_have_passes(lane: Lane) -> None:
    fields_pass(lane, HOST, b"!#$%&'*+-.^_`|~0aZ: 1", b"Under_Score: 2", b"1: 3")


@FIELDS.check("Below the limit nothing is lost.")
def _a_hundred_and_fifty_fields_pass(lane: Lane) -> None:
    fields_pass(lane, HOST, *(b"X-%d: %d" % (number, number) for number in range(149)))


@FIELDS.check("Tokens and cookies grow large.")
def _a_value_of_thirty_thousand_bytes_passes(lane: Lane) -> None:
    head_passes(lane, lane.line(), HOST, b"Cookie: " + b"0123456789" * 3000, b"X-After: 1")


def _values_pass(lane: Lane, *written: tuple[bytes, bytes, bytes]) -> None:
    """Send lines and require their names and values at the upstream."""
    sender = lane.send(head(lane.line(), HOST, *(line for line, _, _ in written)))
    arrived = lane.arrives(sender)
    expected = [(b"Host", b"vkp.example"), *((name, value) for _, name, value in written)]
    if arrived.head.fields != expected:
        raise Differs(f"the request's fields differ: expected {expected}, saw {arrived.head.fields}")
    finish(arrived.wire, sender)


HOP_BY_HOP = Group("fields of one connection", "RFC 9110 section 7.6.1")


def _does_not_pass(*fields: bytes) -> Act:
    def act(lane: Lane) -> None:
        sender = lane.send(head(lane.line(), HOST, b"X-Before: 1", *fields, b"X-After: 2"))
        arrived = lane.arrives(sender)
        expected = head(lane.line(), HOST, b"X-Before: 1", b"X-After: 2")
        same("the request's head", expected, arrived.head.raw)
        finish(arrived.wire, sender)

    return act


HOP_BY_HOP.add("Connection is removed", _does_not_pass(b"Connection: keep-alive"))
HOP_BY_HOP.add("Keep-Alive is removed", _does_not_pass(b"Keep-Alive: timeout=5", b"Connection: Keep-Alive"))
HOP_BY_HOP.add("Keep-Alive is removed though Connection does not list it", _does_not_pass(b"keep-alive: timeout=5"))
HOP_BY_HOP.add("Proxy-Connection is removed", _does_not_pass(b"Proxy-Connection: keep-alive"))
HOP_BY_HOP.add("TE is removed", _does_not_pass(b"TE: trailers, deflate;q=0.5", b"Connection: TE"))
HOP_BY_HOP.add("Upgrade is removed", _does_not_pass(b"Upgrade: example/1, websocket", b"Connection: Upgrade"))
HOP_BY_HOP.add("Upgrade is removed though Connection does not list it", _does_not_pass(b"Upgrade: h2c"))
HOP_BY_HOP.add(
    "fields that Connection lists are removed",
    _does_not_pass(b"x-hop: 1", b"Connection: X-Hop ,, keep-alive", b"X-HOP: 2", b"connection: X-Other", b"X-Other: 3"),
)


@HOP_BY_HOP.check("A sender must not list what everybody needs, and gains nothing by it.")
def _connection_cannot_remove_host_or_length(lane: Lane) -> None:
    fields = (b"Connection: Host, Content-Length", b"Content-Length: 3")
    sender = lane.send(head(lane.line(b"POST"), HOST, *fields) + b"abc")
    arrived = lane.arrives(sender)
    same("the request's head", head(lane.line(b"POST"), HOST, fields[1]), arrived.head.raw)
    same("the body", b"abc", arrived.wire.exactly(3))
    finish(arrived.wire, sender)


@HOP_BY_HOP.check("What the upstream says of its own connection is not told to the sender.")
def _fields_that_an_answer_lists_are_removed(lane: Lane) -> None:
    arrived, sender = get(lane)
    fields = (b"X-A: 1", b"Connection: close, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=4", b"X-B: 2")
    arrived.wire.write(head(b"HTTP/1.1 200 OK", *fields, b"Content-Length: 2") + b"ok")
    answer = sender.answer()
    expected = [(b"X-A", b"1"), (b"X-B", b"2"), (b"Content-Length", b"2")]
    seen = [(name, value) for name, value in answer.head.fields if name.startswith((b"X-", b"Keep", b"Content-L"))]
    require(seen == expected, f"the answer's fields differ: expected {expected}, saw {seen}")


@HOP_BY_HOP.check("The two connections live their own lives.")
def _what_an_upstream_says_of_its_connection_does_not_close_the_senders(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(ANSWER.replace(b"Content", b"Connection: close\r\nContent", 1))
    answer = sender.answer()
    require(not answer.head.values(b"connection"), f"the sender was told {answer.head.values(b'connection')}")
    sender.write(head(lane.line(rest=b"/second"), HOST))
    finish(lane.arrives(sender).wire, sender)


LINES = Group("request line", "RFC 9112 sections 3.1 and 3.2, RFC 9110 section 9")


@LINES.check("Routing folds case to compare, never to send.")
def _letter_case_of_the_path_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/MixedCase/path/UPPER"), HOST)


@LINES.check("The part that routing reads is sent as it came as well.")
def _the_prefix_keeps_its_letter_case_and_escapes(lane: Lane) -> None:
    head_passes(lane, b"GET /EP%4A/" + lane.mark + b"/%70atient HTTP/1.1", HOST)


@LINES.check("`%2f` and `%2F` are equivalent and still two spellings.")
def _escapes_keep_the_case_of_their_digits(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/a%2fb%2Fc%c3%A5%7e~%41"), HOST)


@LINES.check("Nothing is decoded on the way.")
def _escaped_control_bytes_pass(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/%00/%0d%0a/%20/%25?x=%00%0A&y=%252e"), HOST)


@LINES.check("An empty segment is a segment.")
def _double_slashes_stay(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"//a///b"), HOST)


@LINES.check("So does one before the query.")
def _a_slash_at_the_end_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/a/?b=c/"), HOST)


@LINES.check("Order, repeated names, plus signs and empty values.")
def _the_query_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"?b=2&a=1&a=&&c&d=x+y%20z&subscription-key=k?/:@"), HOST)


@LINES.check("An empty query is not the same as none.")
def _a_question_mark_alone_stays(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"?"), HOST)


@LINES.check("Sub-delimiters mean what the upstream says they mean.")
def _semicolons_and_other_reserved_letters_stay(lane: Lane) -> None:
    head_passes(lane, lane.line(rest=b"/a;v=1;w/b!$&'()*+,=:@?q=(a;b)!*'"), HOST)


@LINES.check("RFC 9112 section 3 asks for 8000 at least.")
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


LINES.add("HEAD passes", _head_passes)
for _method in (b"GET", b"DELETE", b"OPTIONS"):
    LINES.add(f"{_method.decode()} passes", _passes_with(_method, announced=None))
for _method in (b"POST", b"PUT", b"PATCH", b"DELETE"):
    LINES.add(f"{_method.decode()} with a body passes", _passes_with(_method, announced=b"abc"))
