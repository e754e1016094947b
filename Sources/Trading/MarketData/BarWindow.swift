public import Ledger

/// All the bars of a symbol that begin within a range, as they were at one moment: a plain value.
public struct BarWindow: Sendable, Hashable {
    public var from: Timestamp
    /// Not including it. A window whose end lies after its fetch reaches up to the fetch.
    public var before: Timestamp
    public var fetchedAt: Timestamp
    /// Oldest first.
    public var bars: [Bar]

    public init(from: Timestamp, before: Timestamp, fetchedAt: Timestamp, bars: [Bar]) {
        self.from = from
        self.before = before
        self.fetchedAt = fetchedAt
        self.bars = bars
    }

    public var reachesItsFetch: Bool { before > fetchedAt }

    /// Clocks of two machines may differ so much.
    static let skewSeconds: Int64 = 5

    /// The bars that are asked for; nil when they are not all here, or may have changed since.
    ///
    /// A bar that had ended when it was fetched does not change, and counts for the time to live. What
    /// was still growing, or has come since, is missed for a twelfth of the timeframe at most.
    func answer(
        _ request: BarRequest, timeToLiveSeconds: Int64, at now: Timestamp
    ) -> [Bar]? {
        guard from <= request.from,
            isYounger(than: timeToLiveSeconds, at: now)
        else { return nil }
        let ended = min(before, request.timeframe.start(of: fetchedAt))
        if request.before > ended {
            let isCovered = request.before <= before || reachesItsFetch
            let patience = min(request.timeframe.seconds / 12, timeToLiveSeconds)
            guard isCovered, isYounger(than: patience, at: now) else { return nil }
        }
        return bars.filter { $0.timestamp >= request.from && $0.timestamp < request.before }
    }

    private func isYounger(than seconds: Int64, at now: Timestamp) -> Bool {
        guard let age = now.microseconds(since: fetchedAt) else { return false }
        return age >= -Self.skewSeconds * 1_000_000 && age < seconds * 1_000_000
    }

    /// Whether a market could have made it, and it is what it says: somebody else may have written it.
    var isPlausible: Bool {
        from < before
            && bars.allSatisfy { $0.isPlausible && $0.timestamp >= from && $0.timestamp < before }
            && zip(bars, bars.dropFirst()).allSatisfy { $0.timestamp < $1.timestamp }
    }
}
