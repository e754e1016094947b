/// How much one batch takes, and how soon it follows the one before.
///
/// Each batch costs a store some round trips, and most a flush, for which the journal's own flushes wait
/// where both lie on one disk. So changes that come close together are written together, closer only
/// where somebody waits for the store. A store that is behind is not made to wait, and gets more at once,
/// in which a row that changed often is written once.
struct BatchPace {
    private let timing: StoreFollower.Timing
    private(set) var rowsMax: Int
    private var lastBegan: ContinuousClock.Instant?

    init(_ timing: StoreFollower.Timing) {
        self.timing = timing
        rowsMax = timing.batchRows
    }

    /// How long until the next batch may begin; nil when it may.
    /// - Parameter isAwaited: whether somebody waits for what it brings.
    func pause(at now: ContinuousClock.Instant, isAwaited: Bool) -> Duration? {
        guard let lastBegan, rowsMax == timing.batchRows else { return nil }
        let every = isAwaited ? timing.batchEveryAwaited : timing.batchEvery
        let pause = now.duration(to: lastBegan + every)
        return pause > .zero ? pause : nil
    }

    /// A batch of so many changes begins.
    mutating func begins(_ rows: Int, at now: ContinuousClock.Instant) {
        lastBegan = now
        rowsMax = rows < rowsMax ? timing.batchRows : min(rowsMax * 2, timing.batchRowsMax)
    }
}
