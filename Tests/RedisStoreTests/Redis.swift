import Connections
import Foundation
import Ledger
import TestSupport

@testable import RedisStore

/// A store over a real server, and a connection of somebody else's beside it.
struct Redis {
    let server: RedisServer
    /// What an operator with redis-cli would have.
    let admin: RedisConnection

    init(_ options: [String] = [], password: String? = nil) async throws {
        server = try await RedisServer(options)
        admin = try await Self.connect(server, password: password)
    }

    static func connect(
        _ server: RedisServer, password: String? = nil
    ) async throws -> RedisConnection {
        let url = RedisURL(
            place: .socket(path: server.socketPath), password: password.map { Secret($0) })
        return try await RedisConnector(store: "admin", url: url, timeout: .seconds(10)).open()
    }

    var tcp: RedisURL { RedisURL(place: .address(.init(host: "127.0.0.1", port: server.port))) }
    var socket: RedisURL { RedisURL(place: .socket(path: server.socketPath)) }

    @discardableResult
    func run(_ words: String...) async throws -> RedisReply { try await run(words) }

    @discardableResult
    func run(_ words: [String]) async throws -> RedisReply {
        var commands = RedisCommands()
        commands.append(words)
        let reply = try await admin.send(commands).first ?? .null
        if case .error(let text) = reply { throw StoreError.refused(store: "admin", problem: text) }
        return reply
    }

    func text(_ words: String...) async throws -> String? {
        var commands = RedisCommands()
        commands.append(words)
        return try await admin.send(commands).first?.text
    }

    /// Of all keys.
    func keys() async throws -> [String] {
        try await run("KEYS", "*").elements?.compactMap(\.text).sorted() ?? []
    }

    func store(
        _ layouts: [RedisLayout], at url: RedisURL? = nil, timeout: Duration = .seconds(5),
        rowsMax: Int = 2_000
    ) throws -> RedisStore {
        try RedisStore(
            name: "hot", url: url ?? socket, layouts: layouts,
            limits: PoolLimits(min: 0, max: 8, acquireTimeout: .seconds(5)), timeout: timeout,
            rowsMax: rowsMax)
    }
}

/// Rows of the datasets that the tests use.
enum Rows {
    static let positions = Schema(
        dataset: "positions", kind: .derived,
        key: [Field("account_id", .text), Field("symbol", .text)],
        fields: [
            Field("qty", .decimal), Field("held_qty", .decimal), Field("cost", .decimal),
            Field("updated_at", .timestamp),
        ], accountField: "account_id")

    static let orders = Schema(
        dataset: "orders", kind: .fact, key: [Field("order_id", .text)],
        fields: [Field("account_id", .text), Field("status", .text)], accountField: "account_id")

    static let quotes = Schema(
        dataset: "quotes", kind: .cache, key: [Field("symbol", .text)],
        fields: [
            Field("bid_price", .decimal, optional: true),
            Field("ask_price", .decimal, optional: true),
            Field("last_price", .decimal, optional: true), Field("volume", .integer),
            Field("timestamp", .timestamp),
        ])

    static func at(_ number: Int64) -> SequenceNumber { SequenceNumber(epoch: 1, number: number) }

    static func position(_ account: String, _ symbol: String, _ qty: Int) -> Row {
        Row(
            dataset: "positions",
            values: [
                .text(account), .text(symbol), .decimal(ExactDecimal(qty)),
                .decimal(ExactDecimal(0)), .decimal(ExactDecimal(qty * 10)),
                .timestamp(Timestamp(microseconds: 1_700_000_000_000_000)),
            ])
    }

    static func order(_ id: String, _ account: String, _ status: String) -> Row {
        Row(dataset: "orders", values: [.text(id), .text(account), .text(status)])
    }

    static func batch(
        _ rows: [Row], gone: [RowKey] = [], after: SequenceNumber? = nil, at number: Int64,
        digests: [DigestStamp] = []
    ) -> StoreBatch {
        let schemas = ["positions": positions, "orders": orders, "quotes": quotes]
        let puts = rows.compactMap { row in
            schemas[row.dataset].map {
                StoreBatch.Change(key: row.key(in: $0), row: row, sequence: at(number))
            }
        }
        let deletes = gone.map { StoreBatch.Change(key: $0, row: nil, sequence: at(number)) }
        return StoreBatch(
            changes: puts + deletes, digests: digests, after: after, through: at(number))
    }
}

/// The error that a call ends with.
func storeError(_ body: () async throws -> Void) async -> StoreError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? StoreError
    }
}
