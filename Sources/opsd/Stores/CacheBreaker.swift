/// Whether a cache is asked at all: a plain value, the time comes in.
///
/// With its first failure it is left alone for a while, so that one that is away costs nobody anything;
/// then one question finds out whether it is back.
struct CacheBreaker: Sendable, Equatable {
    static let firstPause = Duration.seconds(1)
    static let lastPause = Duration.seconds(15)

    private var pause = firstPause
    /// Nil while all is well.
    private var nextTry: ContinuousClock.Instant?
    /// Somebody finds out whether it is back.
    private var isTrying = false

    var isOpen: Bool { nextTry != nil }

    /// Of those who ask while it is away, one in each pause gets through.
    mutating func mayAsk(at now: ContinuousClock.Instant) -> Bool {
        guard let nextTry else { return true }
        guard now >= nextTry else { return false }
        self.nextTry = now + pause
        isTrying = true
        return true
    }

    mutating func succeeded() {
        self = CacheBreaker()
    }

    mutating func failed(at now: ContinuousClock.Instant) {
        if isOpen {
            // Those who had asked before it was known to be away tell nothing new.
            guard isTrying else { return }
            pause = min(pause * 2, Self.lastPause)
        }
        isTrying = false
        nextTry = now + pause
    }
}
