import Foundation
import Hummingbird
import HummingbirdCore
import Ledger
import Trading
import TradingHTTP

/// What commands and verifiers ask of a running core about repairs, at its control socket.
struct RepairControl: Sendable {
    let keeper: RepairKeeper

    /// A plan that lies in its file.
    struct Made: Codable {
        var id: String
        var automatic: Bool
    }

    func addRoutes(to control: RouterGroup<BasicRequestContext>) {
        control.get("repairs") { _, _ in
            Envelope.success { json in
                json.array(keeper.core.engine.published.repairs) { json, record in
                    json.object { $0.repair(RepairLine(record)) }
                }
            }
        }
        control.post("repairs") { request, _ in
            let made = try JSONDecoder().decode(
                Made.self, from: Data(try await request.bytes(upTo: 65_536)))
            return await answer {
                switch try await keeper.register(made.id, isAutomatic: made.automatic) {
                case .waiting(let record), .known(let record): return record
                case .begun(let record):
                    return try await keeper.apply(
                        record.id, reason: record.reason ?? "", by: record.changedBy)
                }
            }
        }
        control.post("repairs/{id}/{verb}") { request, context in
            let act = try JSONDecoder().decode(
                CoreControl.Act.self, from: Data(try await request.bytes(upTo: 65_536)))
            let change = RepairChange(
                verb: try context.parameters.require("verb"),
                id: context.parameters.decoded("id"), act: act)
            return await answer { try await change.perform(by: keeper) }
        }
    }

    private func answer(_ work: () async throws -> RepairRecord) async -> Response {
        do {
            let record = try await work()
            return Envelope.success { json in json.object { $0.repair(RepairLine(record)) } }
        } catch {
            return RepairFailure.apiError(error).response
        }
    }
}

/// `apply`, `undo`, `approve` or `reject`, of a core that runs or of one that a command opened for this alone.
struct RepairChange: Sendable {
    let verb: String
    let id: String
    let act: CoreControl.Act

    func perform(by keeper: RepairKeeper) async throws -> RepairRecord {
        let (reason, actor) = (act.reason, act.operatorName)
        // No row holds one.
        guard !(reason + actor).utf8.contains(0) else {
            throw APIError.badRequest("a text has a NUL; leave it out")
        }
        switch verb {
        case "apply": return try await keeper.apply(id, reason: reason, by: actor)
        case "undo": return try await keeper.undo(id, reason: reason, by: actor)
        case "approve": return try await keeper.approve(id, reason: reason, by: actor)
        case "reject": return try await keeper.reject(id, reason: reason, by: actor)
        default: throw APIError.notFound("'\(verb)' is none of apply, undo, approve, reject")
        }
    }
}

extension RepairFailure {
    static func apiError(_ error: any Error) -> APIError {
        switch error {
        case let failure as RepairFailure: apiError(failure.error)
        case let error as APIError: error
        case let error as EngineError: APIError(error)
        case let error as CommandFailure:
            APIError(
                status: error.status == .badInput
                    ? .notFound : error.status == .refused ? .conflict : .serviceUnavailable,
                message: error.message)
        case StoreError.refused(_, let problem): APIError(status: .conflict, message: problem)
        default: APIError(status: .serviceUnavailable, message: "\(error)")
        }
    }
}
