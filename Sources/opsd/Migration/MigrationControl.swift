import DualWrite
import Foundation
import Hummingbird
import Ledger
import NIOCore
import Trading
import TradingHTTP

/// What `opsd migrate` asks of a running core: it reads the other program's rows itself, and the core
/// compares, journals and takes back.
struct MigrationControl: Sendable {
    let core: TradingCore
    let copies: StoreCopies

    /// A row in the canonical encoding, and its sequence number: where it was found when it is compared,
    /// in the core when it is written.
    struct SentRow: Codable, Sendable {
        var row: Data
        var sequence: Int64?
    }

    struct Rows: Codable, Sendable {
        /// Who is said to write them: an operator and a migration.
        var actor: String
        var rows: [SentRow]
    }

    /// A row that differs.
    struct Change: Codable, Sendable {
        /// Among the rows that were sent.
        var place: Int
        /// Of the core's row; none when there is none.
        var known: Int64?
        var before: Data?
    }

    struct Comparison: Codable, Sendable {
        /// So many of the rows were looked at, from the first on: the core's own rows may be too large for
        /// one answer, and the rest is asked for again.
        var count = 0
        var equal = 0
        /// The core's row is newer than this copy of it.
        var outdated = 0
        var changes: [Change] = []
    }

    struct Written: Codable, Sendable {
        var sequence: String?
        /// A row was written by somebody else meanwhile: nothing was done. To be compared anew.
        var moved: Bool
    }

    struct Undo: Codable, Sendable {
        struct Pair: Codable, Sendable {
            var before: Data?
            var after: Data
        }

        var actor: String
        var pairs: [Pair]
    }

    struct Undone: Codable, Sendable {
        var count: Int
    }

    struct Agreed: Codable, Sendable {
        /// Rows of the core.
        var rows: Int
        /// One that the store does not have like this.
        var difference: String?
    }

    struct Looked: Codable, Sendable {
        /// The core writes the dataset there. Otherwise it leaves alone what lies there.
        var isWritten: Bool
    }

    /// A row that is larger is not taken: a change of it, before and after, is one request.
    static let rowBytesMax = 8 << 20
    private static let bodyBytesMax = 64 << 20
    /// Of the core's rows in one answer, unless there is only one.
    private static let answerBytesMax = 4 << 20

    func addRoutes(to control: RouterGroup<BasicRequestContext>) {
        control.post("data/{dataset}/compare") { request, context in
            try await answer { try compare(try await body(request), try schema(context)) }
        }
        control.post("data/{dataset}/migrate") { request, context in
            try await answer { try await write(try await body(request), try schema(context)) }
        }
        control.post("data/{dataset}/undo") { request, context in
            try await answer { try await undo(try await body(request), try schema(context)) }
        }
        control.post("data/{dataset}/agree/{store}") { request, context in
            try await answer {
                try await agree(
                    context.parameters.decoded("dataset"), context.parameters.decoded("store"))
            }
        }
        control.post("data/{dataset}/look/{store}") { request, context in
            try await answer {
                try await look(
                    context.parameters.decoded("dataset"), context.parameters.decoded("store"))
            }
        }
    }

    // MARK: What is asked

    private func compare(_ sent: Rows, _ schema: Schema) throws -> Comparison {
        var comparison = Comparison()
        var bytes = 0
        for (place, item) in sent.rows.enumerated() {
            let row = try decoded(item.row, schema)
            let known = core.engine.published.declaredRow(row.key(in: schema))
            let found = SequenceNumber(rawValue: item.sequence ?? 0)
            if known?.row == row {
                comparison.equal += 1
            } else if found != .none, found != known?.sequence {
                comparison.outdated += 1
            } else {
                let before = known.map { Data($0.row.encoded(keyCount: schema.keyCount)) }
                bytes += before?.count ?? 0
                if place > 0, bytes > Self.answerBytesMax { break }
                comparison.changes.append(
                    Change(place: place, known: known?.sequence.rawValue, before: before))
            }
            comparison.count += 1
        }
        return comparison
    }

    private func write(_ sent: Rows, _ schema: Schema) async throws -> Written {
        let found = try sent.rows.map { item in
            TradingState.FoundRow(
                row: try decoded(item.row, schema),
                known: item.sequence.map { SequenceNumber(rawValue: $0) })
        }
        do {
            let sequence = try await core.engine.perform { state, now throws(Refusal) in
                try state.migrateRows(found, at: now, by: sent.actor)
            }
            return Written(sequence: sequence.description, moved: false)
        } catch EngineError.refused(.conditionFailed) {
            return Written(sequence: nil, moved: true)
        }
    }

    private func undo(_ sent: Undo, _ schema: Schema) async throws -> Undone {
        let changes = try sent.pairs.map { pair in
            TradingState.MigratedRow(
                before: try pair.before.map { try decoded($0, schema) },
                after: try decoded(pair.after, schema))
        }
        let count = try await core.engine.perform { state, now throws(Refusal) in
            state.takeBack(changes, at: now, by: sent.actor)
        }
        return Undone(count: count)
    }

    /// Answers when whatever was being done to the store has come to its end.
    private func look(_ dataset: String, _ store: String) async throws -> Looked {
        guard let follower = copies.dualWrite[store] else { return Looked(isWritten: false) }
        try await follower.lookAgain()
        return Looked(isWritten: follower.state.wholeDatasets.contains(dataset))
    }

    private func agree(_ dataset: String, _ store: String) async throws -> Agreed {
        let difference = try await copies.reader.difference(in: dataset, of: store)
        try await core.checkpoint.reach(core.feed.head)
        let rows = try await core.checkpoint.store.count(RowQuery(dataset: dataset))
        return Agreed(rows: rows, difference: difference?.description)
    }

    // MARK: -

    private func schema(_ context: BasicRequestContext) throws -> Schema {
        let name = context.parameters.decoded("dataset")
        guard let schema = core.declared[name] else {
            throw APIError.badRequest(
                "the running core does not know the dataset '\(name)'; "
                    + "opsd service restart core takes the configuration up")
        }
        return schema
    }

    private func decoded(_ bytes: Data, _ schema: Schema) throws -> Row {
        do {
            let row = try Row(encoded: Array(bytes))
            guard row.dataset == schema.dataset else {
                throw APIError.badRequest("a row of \(row.dataset)")
            }
            return try schema.fitted(row)
        } catch let error as RowError {
            throw APIError.badRequest(
                "\(error); opsd service restart core, when its declaration has changed")
        }
    }

    private func body<Content: Decodable>(_ request: Request) async throws -> Content {
        let bytes = try await request.bytes(upTo: Self.bodyBytesMax)
        return try JSONDecoder().decode(Content.self, from: Data(bytes))
    }

    private func answer(_ body: () async throws -> some Encodable) async throws -> Response {
        do {
            let bytes = try JSONEncoder().encode(EnvelopeOf(data: try await body()))
            return Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        } catch let error as APIError {
            return error.response
        } catch EngineError.refused(let refusal) {
            // Whatever it is of, trying again does not help.
            return Envelope.failure(.unprocessableContent, refusal.description)
        } catch let error as EngineError {
            return Envelope.failure(.serviceUnavailable, error.description)
        } catch let error as StoreError {
            return Envelope.failure(.serviceUnavailable, error.description)
        }
    }
}

private struct EnvelopeOf<Content: Encodable>: Encodable {
    var code = 200
    let data: Content
    var message = "ok"
}
