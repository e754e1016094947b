internal import Ledger

/// What is known of rows that two places had differently when they were looked at, between two looks.
///
/// Nobody says which entry a row is of, so a write in progress is told from a real difference by time alone:
/// what differs must be there, unchanged on both sides, for as long as a write may take.
struct PairSuspicion: Sendable {
    private struct Look: Hashable {
        /// Of what lay there. Hashes, because a hundred thousand rows may wait.
        let left: Int
        let right: Int
    }

    private var last: Look?
    /// Since when both sides have been as they are.
    private var since: ContinuousClock.Instant?
    private var hasLeftMoved = false
    private var hasRightMoved = false
    /// The right side was where the left one had been before.
    private var isFollowing = false

    enum Outcome {
        case equal
        case wrong(Difference)
        case open
    }

    /// - Parameters:
    ///   - difference: what a judge says of the two; nil: they are the same.
    ///   - patience: how long a write may take to come to both sides.
    mutating func take(
        _ difference: Difference?, left: [FoundRow], right: [FoundRow],
        at now: ContinuousClock.Instant, patience: Duration
    ) -> Outcome {
        guard let difference else { return .equal }
        let look = Look(left: left.hashValue, right: right.hashValue)
        guard let last, let since else {
            (self.last, self.since) = (look, now)
            return .open
        }
        if last == look {
            return since.duration(to: now) >= patience ? .wrong(difference) : .open
        }
        if last.left != look.left { hasLeftMoved = true }
        if last.right != look.right { hasRightMoved = true }
        isFollowing = look.right == last.left
        (self.last, self.since) = (look, now)
        return .open
    }

    /// What is to be said when the time is over and the rows never were the same.
    var verdict: Verdict {
        isFollowing || (hasLeftMoved && !hasRightMoved) ? .lag : .unknown
    }
}
