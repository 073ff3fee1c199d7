"""The metrics, each by its name; docs/operating.md says what each tells."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric


class _Registry(CollectorRegistry):
    """Has what was gathered counted before it shows anything, so that what it shows is exact."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[Callable[[], None]] = []

    def before_it_shows(self, count: Callable[[], None]) -> None:
        """Call this each time before anything is shown."""
        self._before.append(count)

    def collect(self) -> Iterable[Metric]:
        """Return everything that is shown."""
        for count in self._before:
            count()
        return super().collect()


REGISTRY = _Registry()

MESSAGES = Counter(
    "vkp_gateway_messages",
    "Requests answered, by what they were and what became of them.",
    ["surface", "municipality", "information", "mode", "outcome"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "vkp_gateway_message_seconds",
    "Seconds from a request's head to the end of its answer.",
    ["mode"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90),
)
REPAIRS = Counter("vkp_gateway_repairs", "Corrections made to messages, by rule.", ["rule"], registry=REGISTRY)
LOSSES = Counter("vkp_gateway_losses", "Elements of messages that could not be carried.", registry=REGISTRY)
BOUND_AS_BEARER = Counter(
    "vkp_gateway_bound_tokens_as_bearer",
    "Tokens bound to a DPoP key that were sent, and accepted, as plain Bearer.",
    registry=REGISTRY,
)
OTHER_ORGANISATIONS = Counter(
    "vkp_gateway_tokens_of_other_organisations",
    "Requests that were accepted with a token whose orgnr_parent is not the municipality's.",
    ["municipality"],
    registry=REGISTRY,
)
CONTENT_NOT_READ = Counter(
    "vkp_gateway_content_not_read",
    "Requests whose routes differ by content that cannot be read, by why, and whether they passed to VKP or were refused.",
    ["reason", "outcome"],
    registry=REGISTRY,
)
ANSWERS_REFUSED = Counter(
    "vkp_gateway_answers_refused",
    "Answers to retrievals that are not what the contract of who gave them says: an alarm.",
    ["upstream"],
    registry=REGISTRY,
)
REPLICA_PAGES = Counter(
    "vkp_gateway_replica_pages",
    "Pages of PIT that were read for a municipality's copy.",
    ["municipality"],
    registry=REGISTRY,
)
REPLICA_PATIENTS = Gauge(
    "vkp_gateway_replica_patients",
    "Patients of a municipality's copy: of the one that answers, and of one that is being made.",
    ["municipality", "state"],
    registry=REGISTRY,
)
REPLICA_AGE = Gauge(
    "vkp_gateway_replica_age_seconds",
    "Seconds since a municipality's copy was as its service had it; past the service's freshness nothing is answered: an alarm.",
    ["municipality", "source"],
    registry=REGISTRY,
)
REPLICA_FAILURES = Counter(
    "vkp_gateway_replica_failures",
    "Steps of filling a municipality's copy that failed, by why: away, refused, shrinks.",
    ["municipality", "source", "why"],
    registry=REGISTRY,
)
REPLICA_DUPLICATES = Counter(
    "vkp_gateway_replica_duplicates",
    "Searches that found several records of one number in a municipality's copy, and were answered with the newest.",
    ["municipality"],
    registry=REGISTRY,
)
CONNECTIONS_REFUSED = Counter(
    "vkp_gateway_connections_refused",
    "Connections of senders that were closed at once: too many in all, or from one address.",
    ["bound"],
    registry=REGISTRY,
)
NOT_ACCEPTED = Counter(
    "vkp_gateway_connections_not_accepted",
    "Times that the system had no connection of a sender for us, for want of file descriptors: an alarm.",
    registry=REGISTRY,
)
PROXY_HEADERS_REFUSED = Counter(
    "vkp_gateway_proxy_headers_refused",
    "Connections of balancers that were closed since they did not begin with a header of the PROXY protocol.",
    registry=REGISTRY,
)
HANDSHAKES_FAILED = Counter(
    "vkp_gateway_handshakes_failed",
    "Connections of senders that ended before TLS was agreed on.",
    registry=REGISTRY,
)
CERTIFICATES_UNUSABLE = Gauge(
    "vkp_gateway_certificates_unusable",
    "1 while changed certificate files cannot be used, so that the ones before serve on.",
    ["of"],
    registry=REGISTRY,
)
NAMES_UNRESOLVED = Gauge(
    "vkp_gateway_names_unresolved",
    "1 while an upstream's name cannot be resolved, and its last known addresses are used.",
    ["host"],
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "vkp_gateway_held_deliveries",
    "Tries to deliver held messages, by what came of them.",
    ["outcome"],
    registry=REGISTRY,
)
UNCLEAR = Counter(
    "vkp_gateway_unclear_deliveries",
    "Promised messages that were sent and never answered, and set aside for a person: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
QUARANTINED = Counter(
    "vkp_gateway_quarantined",
    "Promised messages that were set aside for a person: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
POLLS = Counter(
    "vkp_gateway_polls", "Questions how far an event has come, by the answer.", ["stage"], registry=REGISTRY
)
SERVICE_FILES_UNUSABLE = Gauge(
    "vkp_gateway_service_file_unusable",
    "Whether a municipality's file of services cannot be read, or has a line that is wrong: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
SERVICES_WITHOUT_PATIENT = Gauge(
    "vkp_gateway_services_without_patient",
    "Patients whom a municipality's file of services names and the copy of PIT does not have: no list has them.",
    ["municipality"],
    registry=REGISTRY,
)
SWEEP_LEFT = Gauge(
    "vkp_gateway_okt_sweep_seconds_left",
    "Seconds that a municipality's sweep of OKT will at least take from now; 0 once it is complete.",
    ["municipality"],
    registry=REGISTRY,
)
UNANSWERED = Gauge(
    "vkp_gateway_okt_patients_unanswered",
    "Patients of whom OKT has told nothing, or nothing within its freshness, since the first sweep; lists wait for them.",
    ["municipality"],
    registry=REGISTRY,
)
OVERDUE_EVENTS = Counter(
    "vkp_gateway_overdue_events",
    "Events that were not acknowledged in time: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
LEDGER_MESSAGES = Gauge(
    "vkp_gateway_ledger_messages",
    "Messages that are held, being delivered, or in quarantine, and delivered ones that are overdue.",
    ["municipality", "state"],
    registry=REGISTRY,
)
LEDGER_OLDEST = Gauge(
    "vkp_gateway_ledger_oldest_seconds",
    "How long the oldest such message has been there.",
    ["state"],
    registry=REGISTRY,
)
LEDGER_RUNS = Gauge(
    "vkp_gateway_ledger_run_timestamp_seconds",
    "When each regular job on the ledger last ended well.",
    ["job"],
    registry=REGISTRY,
)
CLOCK_STEPS = Gauge(
    "vkp_gateway_clock_steps",
    "How often somebody set the machine's clock, seen by this process.",
    registry=REGISTRY,
)
CLOCK_DOUBTED = Gauge(
    "vkp_gateway_clock_doubted",
    "1 while nothing is cleared away because the clock may be ahead: an alarm.",
    registry=REGISTRY,
)
REHEARSED = Counter(
    "vkp_gateway_rehearsed",
    "Messages of mode rehearse that VKP answered, by what the new side would have made of them.",
    ["municipality", "vendor", "information", "verdict"],
    registry=REGISTRY,
)
COMPARED = Counter(
    "vkp_gateway_compared",
    "Searches of mode compare, by what the answers of VKP and of the new side have shown.",
    ["municipality", "vendor", "information", "outcome"],
    registry=REGISTRY,
)
SHARED = Counter(
    "vkp_gateway_shared",
    "Measurements of journaled messages that were to be shared with another service, by what became of it.",
    ["municipality", "target", "outcome"],
    registry=REGISTRY,
)
SHARES_WAITING = Gauge(
    "vkp_gateway_shares_waiting",
    "Journaled messages whose measurements wait to be shared with another service.",
    ["target", "municipality"],
    registry=REGISTRY,
)
DECISIONS_DROPPED = Counter(
    "vkp_gateway_decisions_dropped",
    "Decisions that are missing in the decision log: the ledger could not be written for too long.",
    registry=REGISTRY,
)
RELOADS = Counter("vkp_gateway_reloads", "Reloads of routes.yaml, by result.", ["result"], registry=REGISTRY)

# Not in the last group of a UUID: every 250th has eleven digits there, and an event is found again by its id.
