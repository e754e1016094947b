extension StoreFollower {
    /// How much at once, and how often.
    public struct Timing: Sendable {
        public var retryFirst = Duration.milliseconds(50)
        public var retryLast = Duration.seconds(5)
        /// Changes of rows that are taken at once; a store that stays behind gets up to `batchRowsMax`.
        public var batchRows = 4_000
        public var batchRowsMax = 32_000
        /// From the beginning of one batch to that of the next, for a store that keeps up.
        public var batchEvery = Duration.milliseconds(20)
        /// The same where somebody waits for the store to have something.
        public var batchEveryAwaited = Duration.milliseconds(5)
        /// Rows that are copied at once when a dataset is filled.
        public var fillRows = 2_000
        /// How often a store that has nothing to do is asked where it stands.
        public var lookEvery = Duration.seconds(5)

        public init() {}
    }
}
