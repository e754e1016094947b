public import Ledger

/// What a check asks of a store, and how the answers are judged. The judgement is apart from the asking,
/// so that it is tested on numbers. A store that does not answer is a failure; one that answers less well
/// than it should is degraded.
public struct StoreProbe: Sendable, Equatable {
    public enum Question: Sendable, Equatable {
        case answers
        /// So much before the worst of a stream's groups, or more, is degraded.
        case backlog(stream: String, from: Int)
        /// So many stale rows, or more, are degraded.
        case freshness(dataset: String, staleAfter: Duration, from: Int)
    }

    public var store: String
    public var question: Question

    public init(store: String, question: Question) {
        self.store = store
        self.question = question
    }

    var kind: String {
        switch question {
        case .answers: "store"
        case .backlog: "stream"
        case .freshness: "dataset"
        }
    }

    /// - Parameter groups: what each has before it: entries not read yet, and those that it has read
    ///   and not acknowledged.
    public static func judge(
        stream: String, groups: [(name: String, waiting: Int)], from limit: Int
    ) -> ProbeOutcome {
        guard let worst = groups.max(by: { $0.waiting < $1.waiting }) else {
            return .success("no group reads \(stream)")
        }
        let text = "group \(worst.name) of \(stream) has \(worst.waiting) before it"
        return worst.waiting < limit
            ? .success(text) : .degraded("\(text), degraded from \(limit)")
    }
}

/// The rows of a dataset that a check of its freshness has seen: one that vanishes is as bad as one that
/// is old.
public struct FreshnessMemory: Sendable {
    /// So long, a row that is gone is missed.
    private static let missed = Duration.seconds(86_400)
    private static let rowsMax = 100_000

    private var lastSeen: [String: Timestamp] = [:]

    public init() {}

    /// - Parameter rows: by key, with the rows' own times. A time in the future counts as new.
    public mutating func judge(
        _ dataset: String, rows: [String: Timestamp], now: Timestamp, staleAfter: Duration,
        from limit: Int
    ) -> ProbeOutcome {
        let age = { (time: Timestamp) in
            Duration.microseconds(max(0, now.microseconds - time.microseconds))
        }
        for key in rows.keys where lastSeen.count < Self.rowsMax || lastSeen[key] != nil {
            lastSeen[key] = now
        }
        lastSeen = lastSeen.filter { age($0.value) < Self.missed }
        let gone = lastSeen.keys.filter { rows[$0] == nil }
        let old = rows.filter { age($0.value) > staleAfter }
        guard !rows.isEmpty || !gone.isEmpty else {
            return .degraded("\(dataset) has no rows")
        }
        let count = gone.count + old.count
        var text = "\(count) of \(rows.count + gone.count) \(dataset) are stale"
        if let oldest = old.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
            text += ", \(oldest.key) by \(DurationText.short(age(oldest.value)))"
        }
        if let first = gone.min() { text += ", \(first) is gone" }
        return count < limit ? .success(text) : .degraded("\(text), degraded from \(limit)")
    }
}
