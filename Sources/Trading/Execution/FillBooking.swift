internal import Ledger
internal import Logging

/// Hands fills on to the engine, a chunk a decision, so that a long list holds up nobody's order.
struct FillBooking: Sendable {
    let accountID: String
    let engine: Engine
    let history: OrderHistory
    let logger = Logger(label: "follower")

    static let chunkSize = 100

    /// - Parameter movesCursor: false for a list that may begin before the cursor: then only its
    ///   last chunk moves it.
    func book(_ fills: [BrokerFill], movesCursor: Bool) async throws -> AppliedFills {
        var applied = AppliedFills.done
        var rest = fills[...]
        while !rest.isEmpty {
            let chunk = Array(rest.prefix(Self.chunkSize))
            rest = rest.dropFirst(chunk.count)
            let moves = applied == .done && (movesCursor || rest.isEmpty)
            applied.add(try await book(chunk: chunk, movesCursor: moves))
        }
        for fill in applied.refused {
            logger.error(
                "a fill does not fit the order that it names and is not booked; look at it there",
                metadata: ["account_id": "\(accountID)", "fill": "\(fill.id)"])
        }
        return applied
    }

    /// A chunk that is refused is taken one by one, so that one bad fill holds up no other.
    private func book(chunk: [BrokerFill], movesCursor: Bool) async throws -> AppliedFills {
        let settled = await settled(chunk)
        let accountID = accountID
        do throws(EngineError) {
            return try await engine.perform { state, now throws(Refusal) in
                try state.apply(
                    chunk, of: accountID, settled: settled, movesCursor: movesCursor, at: now)
            }
        } catch {
            guard case .refused = error else { throw error }
        }
        if chunk.count == 1 { return AppliedFills(refused: chunk) }
        var applied = AppliedFills.done
        for fill in chunk {
            applied.add(
                try await book(chunk: [fill], movesCursor: movesCursor && applied == .done))
        }
        return applied
    }

    /// Fills of orders that are not live here: those that are booked already, and those from before
    /// the account was taken over.
    private func settled(_ fills: [BrokerFill]) async -> Set<String> {
        let live = Set(engine.published.liveOrders(of: accountID).compactMap(\.brokerOrderID))
        let others = fills.filter { !live.contains($0.brokerOrderID) }
        if others.isEmpty { return [] }
        do throws(StoreError) {
            var settled = try await history.bookedFills(of: accountID, among: others.map(\.id))
            if let last = try await history.opening(of: accountID)?.lastFillAt {
                for fill in others where fill.time <= last { settled.insert(fill.id) }
            }
            return settled
        } catch {
            // Live orders' fills are booked all the same; the others wait.
            logger.warning(
                "past fills could not be looked up",
                metadata: ["account_id": "\(accountID)", "problem": "\(error)"])
            return []
        }
    }
}
