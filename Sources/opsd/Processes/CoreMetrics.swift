import Control
import DualWrite
import Ledger
import Trading

/// What the core's metrics mean, and where those come from that are read at each scrape.
enum CoreMetrics {
    static let descriptions: [MetricDescription] =
        [
            MetricDescription(
                "opsd_build_info", help: "1, with the version that runs.", kind: .gauge),
            MetricDescription(
                "opsd_orders_total",
                help: "Orders by the status they came to; pending on acceptance.",
                kind: .counter),
            MetricDescription(
                "opsd_orders_unknown", help: "Orders whose fate at the broker is not known.",
                kind: .gauge),
            MetricDescription(
                "opsd_order_accept_duration_seconds",
                help: "From an order's arrival until it is durable.", kind: .histogram),
            MetricDescription(
                "opsd_order_execution_duration_seconds",
                help: "From an order's acceptance until the broker has confirmed it.",
                kind: .histogram),
            MetricDescription(
                "opsd_journal_commit_duration_seconds",
                help: "One batch of entries, written and flushed.", kind: .histogram),
            MetricDescription(
                "opsd_journal_last_sequence", help: "Sequence number of the journal's last entry.",
                kind: .gauge),
            MetricDescription(
                "opsd_store_applied_sequence", help: "Last entry that is wholly in the store.",
                kind: .gauge),
            MetricDescription(
                "opsd_store_lag_entries", help: "Entries that the store does not have yet.",
                kind: .gauge),
            MetricDescription(
                "opsd_store_lag_seconds",
                help:
                    "Age of the oldest entry that the store does not have yet; 0 when it has all.",
                kind: .gauge),
            MetricDescription(
                "opsd_store_degraded",
                help:
                    "1 while a dataset is not read where its route says, because that store fails.",
                kind: .gauge),
            MetricDescription(
                "opsd_store_operation_duration_seconds", help: "One call of a store, by operation.",
                kind: .histogram),
            MetricDescription(
                "opsd_store_write_failures_total",
                help: "Batches that a store did not take, counted for each dataset in them.",
                kind: .counter),
            MetricDescription(
                "cache_hits_total",
                help: "What a cache had, by cache (memory, redis) and what was asked for.",
                kind: .counter),
            MetricDescription(
                "cache_misses_total",
                help:
                    "What a cache had not: nothing, too old, not to be read, or no answer in time.",
                kind: .counter),
            MetricDescription(
                "cache_latency_seconds", help: "How long a cache took to answer.", kind: .histogram,
                buckets: [
                    0.000_001, 0.000_01, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01,
                    0.025, 0.05, 0.1,
                ]),
            MetricDescription(
                "events_processed_total", help: "Events that a stream has, by type.", kind: .counter
            ),
            MetricDescription(
                "events_failed_total",
                help: "Events whose first try to reach the stream failed; they are sent later.",
                kind: .counter),
            MetricDescription(
                "opsd_queue_depth", help: "What waits in a queue.", kind: .gauge),
            MetricDescription(
                "opsd_queue_capacity", help: "The most that may wait in a queue.", kind: .gauge),
            MetricDescription(
                "opsd_http_request_duration_seconds",
                help: "Requests to the trading API by route and status.", kind: .histogram),
            MetricDescription(
                "saga_executed_total", help: "Order sagas that have ended, by outcome.",
                kind: .counter),
        ] + RepairMetrics.descriptions

    /// - Parameter checks: of which repairs are counted.
    static func collect(
        from core: TradingCore, _ copies: StoreCopies, checks: Set<String>,
        into registry: MetricsRegistry
    ) {
        registry.addCollector { collect(copies, into: &$0) }
        registry.addCollector {
            RepairMetrics.collect(core.engine.published.repairs, checks: checks, into: &$0)
        }
        registry.addCollector { sink in
            let head = core.engine.published.head.rawValue
            let applied = core.checkpoint.appliedSequence.rawValue
            let store = [("store", "checkpoint")]
            sink.gauge("opsd_journal_last_sequence", [], Double(head))
            sink.gauge("opsd_store_applied_sequence", store, Double(applied))
            sink.gauge("opsd_store_lag_entries", store, Double(max(0, head - applied)))
            let behindSince = core.checkpoint.behindSince
            let lag = behindSince.map { Timestamp.now().microseconds - $0.microseconds } ?? 0
            sink.gauge("opsd_store_lag_seconds", store, Double(max(0, lag)) / 1_000_000)
            sink.gauge("opsd_orders_unknown", [], Double(core.engine.published.unknownOrders))
            let orders = [("queue", "orders")]
            sink.gauge("opsd_queue_depth", orders, Double(core.engine.orders.count))
            sink.gauge("opsd_queue_capacity", orders, Double(core.engine.orders.capacity))
            let decisions = [("queue", "decisions")]
            sink.gauge("opsd_queue_depth", decisions, Double(core.engine.waitingDecisions))
            sink.gauge("opsd_queue_capacity", decisions, Double(core.engine.orders.capacity))
        }
    }

    /// A store of which nothing is known has no series: unknown is not up to date.
    private static func collect(_ copies: StoreCopies, into sink: inout MetricsSink) {
        let now = Timestamp.now()
        var copied = copies.dualWrite.followers.map { ($0.name, $0.state) }
        if let publisher = copies.publisher {
            copied.append((publisher.name, publisher.state))
            collect(publisher.counts, into: &sink)
        }
        for (name, state) in copied {
            let labels = [("store", name)]
            guard let applied = state.applied else { continue }
            sink.gauge("opsd_store_applied_sequence", labels, Double(applied.rawValue))
            if let lag = state.lagEntries {
                sink.gauge("opsd_store_lag_entries", labels, Double(lag))
            }
            let lag = state.behindSince.map { now.microseconds - $0.microseconds } ?? 0
            sink.gauge("opsd_store_lag_seconds", labels, Double(max(0, lag)) / 1_000_000)
        }
        let degraded = Set(copies.reader.degradations.map(\.dataset))
        for dataset in copies.dualWrite.routes.routes.keys {
            sink.gauge(
                "opsd_store_degraded", [("dataset", dataset)], degraded.contains(dataset) ? 1 : 0)
        }
    }

    private static func collect(_ counts: EventPublisher.Counts, into sink: inout MetricsSink) {
        for (type, count) in counts.sent {
            sink.counter("events_processed_total", [("event_type", type)], Double(count))
        }
        for (type, count) in counts.failed {
            sink.counter("events_failed_total", [("event_type", type)], Double(count))
        }
    }
}
