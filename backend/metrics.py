"""What the services count. Every metric is described in docs/operations.md, or a test fails."""

from prometheus_client import Counter, Gauge, Histogram

PASS_SECONDS = Histogram(
    "koschei_pass_seconds",
    "Duration of a service's pass",
    ["service"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)
PASS_FAILURES = Counter("koschei_pass_failures", "Passes that failed, wholly or in part", ["service"])
LAST_SUCCESS = Gauge("koschei_last_success_timestamp_seconds", "When a pass last ended well", ["service"])
BUILDS_SUBMITTED = Counter("koschei_builds_submitted", "Scratch builds that Koji took")
BUILDS_ENDED = Counter("koschei_builds_ended", "Running builds whose end was seen by polling")
REAL_BUILDS = Counter("koschei_real_builds_registered", "Real builds registered by polling", ["collection"])
BUILDS_RUNNING = Gauge("koschei_builds_running", "Scratch builds running or being submitted")
PACKAGES_WAITING = Gauge("koschei_packages_waiting", "Packages that may be built and whose priority is high enough")
BUILDS_RESOLVED = Counter("koschei_builds_resolved", "Builds whose dependencies were found out or given up")
EVENTS_SENT = Counter("koschei_events_sent", "Events that the broker confirmed")
EVENTS_WAITING = Gauge("koschei_events_waiting", "Events in the outbox that are not sent yet")
MESSAGES_SEEN = Counter("koschei_messages_seen", "Messages from the bus, by what became of them", ["outcome"])
WEBHOOK_DELIVERIES = Counter("koschei_webhook_deliveries", "Attempts to deliver to webhooks, by outcome", ["outcome"])
WEBHOOKS_WAITING = Gauge("koschei_webhook_events_waiting", "Events that enabled webhooks are still to be told")
