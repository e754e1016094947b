import DualWrite
import Foundation
import Hummingbird
import Ledger
import TradingHTTP

/// What the core tells of its stores at its control socket, and what it does with them there.
struct StoreControl: Sendable {
    let copies: StoreCopies
    /// Of it there is something to say only while it fails.
    let market: MarketStore?

    /// The body of a rebuild: the datasets, all of the store's when there are none.
    struct Rebuild: Codable {
        var datasets: [String]
        var operatorName: String
        var reason: String
    }

    private struct Copy {
        let name: String
        let state: FollowerState
        let datasets: [String]
    }

    func show(_ json: inout JSONWriter) {
        let degradations = copies.reader.degradations
        var shown = copies.dualWrite.followers.map {
            Copy(name: $0.name, state: $0.state, datasets: $0.datasets.sorted())
        }
        if let publisher = copies.publisher {
            shown.append(Copy(name: publisher.name, state: publisher.state, datasets: []))
        }
        shown += failingCaches(besides: shown)
        json.array(shown) { json, copy in
            let own = degradations.filter { $0.store == copy.name }
            json.object { json in
                json.member("name", copy.name)
                json.member("state", copy.state.condition.name)
                json.member("says", copy.state.condition.words)
                if case .failing(.refused) = copy.state.condition { json.member("refuses", true) }
                json.member("applied_sequence", copy.state.applied?.description)
                if let lag = copy.state.lagEntries { json.member("lag_entries", Int(lag)) }
                json.member("failing_since", copy.state.failingSince)
                json.member("behind_since", copy.state.behindSince)
                json.name("datasets")
                json.array(copy.datasets) { $0.value($1) }
                json.name("degraded")
                json.array(own) { $0.value($1.dataset) }
                json.member("degraded_since", own.map(\.since).min())
                json.name("unmigrated")
                json.array(copy.state.unmigrated.sorted { $0.key < $1.key }) { json, found in
                    json.object { json in
                        json.member("dataset", found.key)
                        json.member("says", found.value)
                        json.member("command", copies.migration(of: found.key, from: copy.name))
                    }
                }
                if case .filling(let progress) = copy.state.condition {
                    json.member("rows_done", progress.rows)
                    json.member("rows_total", progress.rowsTotal)
                }
            }
        }
    }

    /// One slow answer is no news, and of a store that fails as a copy too it is said already.
    private func failingCaches(besides shown: [Copy]) -> [Copy] {
        let known = Set(shown.filter { $0.state.condition.name == "failing" }.map(\.name))
        let newsAge: Int64 = 10
        let now = Timestamp.now()
        return (market?.failures ?? []).compactMap { store, failure in
            guard !known.contains(store), failure.since.advanced(bySeconds: newsAge) < now else {
                return nil
            }
            var state = FollowerState()
            state.condition = .failing(failure.error)
            state.failingSince = failure.since
            return Copy(name: "\(store)/cache", state: state, datasets: [])
        }
    }

    /// Answers when the datasets are filled.
    func rebuild(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let body = try await request.body.collect(upTo: 65_536)
        let wanted = try JSONDecoder().decode(Rebuild.self, from: Data(body.readableBytesView))
        let name = context.parameters.decoded("name")
        guard let follower = copies.dualWrite[name] else {
            return Envelope.failure(.notFound, "no dataset is written to a store '\(name)'")
        }
        do throws(StoreError) {
            try await follower.rebuild(Set(wanted.datasets))
        } catch {
            guard case .refused = error else {
                return Envelope.failure(.serviceUnavailable, error.description)
            }
            return Envelope.failure(.badRequest, error.description)
        }
        let state = follower.state
        return Envelope.success { json in
            json.object { json in
                json.member("store", name)
                json.member("applied_sequence", state.applied?.description)
            }
        }
    }
}
