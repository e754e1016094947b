/// How much one batch takes, and how soon it follows the one before.
///
/// Each batch costs a store some round trips, and most a flush, however few rows it has. So changes that
/// come close together are written together. A store that is behind is not made to wait, and gets more at
/// once, in which a row that changed often is written once.
struct BatchPace {
    private let timing: StoreFollower.Timing
    private(set) var rowsMax: Int
    private var lastBegan: ContinuousClock.Instant?

    init(_ timing: StoreFollower.Timing) {
        self.timing = timing
        rowsMax = timing.batchRows
    }

    /// Returns when the next batch may begin, or the task is cancelled.
    func wait() async {
        guard let lastBegan, rowsMax == timing.batchRows else { return }
        let next = lastBegan + timing.batchEvery
        if next > .now { try? await Task.sleep(until: next, clock: .continuous) }
    }

    /// A batch of so many changes begins.
    mutating func begins(_ rows: Int) {
        lastBegan = .now
        rowsMax = rows < rowsMax ? timing.batchRows : min(rowsMax * 2, timing.batchRowsMax)
    }
}
