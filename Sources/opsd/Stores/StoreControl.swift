import DualWrite
import Foundation
import Hummingbird
import Ledger
import TradingHTTP

/// What the core tells of its stores at its control socket, and what it does with them there.
struct StoreControl: Sendable {
    let copies: StoreCopies

    /// The body of a rebuild: the datasets, all of the store's when there are none.
    struct Rebuild: Codable {
        var datasets: [String]
        var operatorName: String
        var reason: String
    }

    func show(_ json: inout JSONWriter) {
        let degradations = copies.reader.degradations
        json.array(copies.dualWrite.followers) { json, follower in
            let state = follower.state
            json.object { json in
                json.member("name", follower.name)
                json.member("state", state.condition.name)
                json.member("says", state.condition.words)
                json.member("applied_sequence", state.applied?.description)
                if let lag = state.lagEntries { json.member("lag_entries", Int(lag)) }
                json.member("failing_since", state.failingSince)
                json.member("behind_since", state.behindSince)
                json.name("datasets")
                json.array(follower.datasets.sorted()) { $0.value($1) }
                json.name("degraded")
                json.array(degradations.filter { $0.store == follower.name }) {
                    $0.value($1.dataset)
                }
                json.member(
                    "degraded_since",
                    degradations.filter { $0.store == follower.name }.map(\.since).min())
                if case .filling(let progress) = state.condition {
                    json.member("rows_done", progress.rows)
                    json.member("rows_total", progress.rowsTotal)
                }
            }
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
