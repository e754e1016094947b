import Ledger
import TestSupport
import Testing

@testable import Trading

@Suite struct RevokedTokensTests {
    private func revocation(_ number: Int, expiresAt time: Int64) -> Revocation {
        Revocation(
            tokenID: "t\(number)", accountID: "A", expiresAt: Timestamp(microseconds: time))
    }

    @Test func memoryGrowsWithTheTokensThatHaveNotExpired() {
        var tokens = RevokedTokens()
        for number in 1...100_000 {
            let now = Int64(number)
            tokens.insert(
                revocation(number, expiresAt: now + 100), at: Timestamp(microseconds: now))
            #expect(tokens.contains("t\(number)"))
        }
        #expect(tokens.expiry.count <= 1_024)
        for number in 99_950...100_000 { #expect(tokens.contains("t\(number)")) }
    }

    @Test func noneIsForgottenBeforeItExpires() {
        var tokens = RevokedTokens()
        for number in 1...5_000 {
            tokens.insert(revocation(number, expiresAt: 10), at: Timestamp(microseconds: 9))
        }
        #expect(tokens.expiry.count == 5_000)
    }

    @Test func aTokenThatHasExpiredNeedsNoRevocation() throws {
        var fixture = try StateFixture.opened()
        let head = fixture.state.lastSequence
        fixture.state.revoke(
            Revocation(tokenID: "old", accountID: "A", expiresAt: fixture.clock),
            at: fixture.clock, by: "A")
        #expect(fixture.state.lastSequence == head)
    }
}
