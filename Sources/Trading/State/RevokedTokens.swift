internal import Ledger

/// The tokens that are not valid any more although they have not expired. One that has expired is
/// forgotten, so that memory grows with the tokens that are in use and not with the past.
struct RevokedTokens: Sendable {
    private(set) var expiry: [String: Timestamp] = [:]
    /// Looking through all of them again waits until there are twice as many as were left.
    private var sweepCount = RevokedTokens.sweepCountMin

    private static let sweepCountMin = 1_024

    func contains(_ tokenID: String) -> Bool { expiry[tokenID] != nil }

    mutating func insert(_ revocation: Revocation, at now: Timestamp) {
        expiry[revocation.tokenID] = revocation.expiresAt
        if expiry.count < sweepCount { return }
        expiry = expiry.filter { $0.value > now }
        sweepCount = max(Self.sweepCountMin, 2 * expiry.count)
    }

    mutating func remove(_ tokenID: String) { expiry[tokenID] = nil }
}
