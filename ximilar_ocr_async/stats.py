"""What a session has done and is doing, as numbers."""

from attrs import frozen


@frozen(kw_only=True)
class Stats:
    """A snapshot.

    Attributes:
        in_flight: Requests under way.
        queued: Images that wait for a slot.
        limit: Requests that may be under way now.
        outage: Whether the service is out of reach, so that only probes are sent.
        requests: Requests begun.
        records_sent: Records that reached the service, or may have.
        records_billed: Records that were read, or submitted to be read later.
        records_maybe_billed: Records whose reply was lost, once for each time.
        records_retried: Records of those that had been sent before.
        records_failed: Images that ended as a failure.
        bytes_sent: Of request bodies.
    """

    in_flight: int
    queued: int
    limit: int
    outage: bool
    requests: int
    records_sent: int
    records_billed: int
    records_maybe_billed: int
    records_retried: int
    records_failed: int
    bytes_sent: int
