import Ledger
import RedisStore
import TestSupport
import Testing

/// What every store must do, in every way that rows can lie in Redis.
@Suite(.serialized, .enabled(if: RedisServer.isWanted, "redis-server is not installed"))
struct ConformanceTests {
    enum Layouts: String, CaseIterable, Sendable {
        case standard, hash, text, indexed, strings, hidden

        func make() throws -> [RedisLayout] {
            try rows() + [try RedisLayouts.standard(for: RowStoreConformance.keyed)]
        }

        private func rows() throws -> [RedisLayout] {
            let (samples, others) = (RowStoreConformance.schema, RowStoreConformance.other)
            let other = try RedisLayouts.standard(for: others)
            switch self {
            case .standard: return [try RedisLayouts.standard(for: samples), other]
            case .hash:
                return [
                    try RedisLayout(samples, key: "s:{group}:{number}", value: .hash),
                    try RedisLayout(others, key: "o:{id}", value: .hash),
                ]
            case .text:
                return [
                    try RedisLayout(
                        samples, key: "s:{group}", field: "{number}", value: .text("note")),
                    try RedisLayout(
                        others, key: "o", field: "{id}", value: .text("text \"quoted\"")),
                ]
            case .indexed:
                return [
                    try RedisLayout(samples, key: "acc:{account_id}", field: "{group}/{number}"),
                    other,
                ]
            case .strings:
                return [
                    try RedisLayout(samples, key: "s:{group}:{number}:end"),
                    try RedisLayout(others, key: "o:{id}", value: .text("text \"quoted\"")),
                ]
            case .hidden:
                return [
                    try RedisLayout(
                        samples, key: "*[a]?:{group}", field: "{number}",
                        fields: ["amount": "qty", "detail": "more"]), other,
                ]
            }
        }
    }

    @Test(arguments: Layouts.allCases, RowStoreConformance.checks)
    func conforms(_ layouts: Layouts, _ check: RowStoreConformance) async throws {
        let redis = try await Redis()
        // Whole batches are seen where they fit into one transaction.
        let rowsMax = check.description.hasPrefix("reads beside") ? 8 : 3
        try await check.run { try redis.store(try layouts.make(), rowsMax: rowsMax) }
    }

    @Test(arguments: RowStoreConformance.checks)
    func conformsOverTCP(_ check: RowStoreConformance) async throws {
        let redis = try await Redis()
        try await check.run { try redis.store(try Layouts.standard.make(), at: redis.tcp) }
    }

    @Test(arguments: Layouts.allCases, ReplicaConformance.checks)
    func followsTheJournal(_ layouts: Layouts, _ check: ReplicaConformance) async throws {
        let redis = try await Redis()
        try await check.run { try redis.store(try layouts.make(), rowsMax: 100) }
    }
}
