import Foundation
import Ledger
import TestSupport
import Testing
import Trading

@testable import RedisStore

/// The documents' own programs read what opsd writes.
@Suite struct PythonReaderTests {
    static let isCI = ProcessInfo.processInfo.environment["CI"] != nil
    static let hasRedisModule =
        (try? run("import redis", []))?.code == 0

    private static let readers =
        DocumentedReaders.redis + """
            async def main():
                client = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)
                data = RedisDataStructures(client)
                positions = await data.get_positions("A")
                print(json.dumps({
                    "positions": sorted(positions, key=lambda p: p["symbol"]),
                    "balance": await data.get_account_balance("A"),
                    "quote": await data.get_stock_quote("AAPL"),
                    "fields": sorted(await client.hkeys("acc:balance:A")),
                    "types": [await client.type(k) for k in
                              ("acc:positions:A", "acc:balance:A", "market:quote:stock:AAPL")],
                    "ttl": [await client.ttl(k) for k in ("acc:positions:A", "acc:balance:A")],
                    "quote_ttl": 0 < await client.ttl("market:quote:stock:AAPL") <= 30,
                }, sort_keys=True))
                await client.connection_pool.disconnect()

            asyncio.run(main())
            """

    private static func run(
        _ script: String, _ arguments: [String]
    ) throws -> (code: Int32, output: String) {
        let folder = try TemporaryDirectory("python")
        _ = FileManager.default.createFile(atPath: folder.path("out"), contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script] + arguments
        let output = try #require(FileHandle(forWritingAtPath: folder.path("out")))
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        return (
            process.terminationStatus,
            try String(contentsOfFile: folder.path("out"), encoding: .utf8)
        )
    }

    @Test(
        .enabled(if: RedisServer.isWanted, "redis-server is not installed"),
        .enabled(if: hasRedisModule || isCI, "python3 has no module redis"))
    func theDocumentsReadersFindTheirFieldsAndNoOthers() async throws {
        let redis = try await Redis()
        let store = try redis.store(
            try [Datasets.positions, Datasets.balances, Rows.quotes]
                .map { try RedisLayouts.standard(for: $0) })
        let now = Value.timestamp(Timestamp(microseconds: 1_700_000_000_250_000))
        func number(_ text: String) throws -> Value { .decimal(try #require(ExactDecimal(text))) }
        let balance = try Datasets.balances.row([
            .text("A"), try number("1000.5"), try number("3"), now, try number("997.5"),
            try number("2000"),
        ])
        func position(_ account: String, _ symbol: String, _ quantity: String) throws -> Row {
            try Datasets.positions.row([
                .text(account), .text(symbol), try number(quantity), try number("0"),
                try number("10"), try number("0"), now, .text("long"), try number("12.5"),
                try number("2.5"),
            ])
        }
        let quote = Row(
            dataset: "quotes",
            values: [.text("AAPL"), try number("200.1"), .null, .null, .integer(9), now])
        try await store.fill(
            [
                balance, quote, try position("A", "AAPL", "5"), try position("A", "BRK.B", "7"),
                try position("B", "MSFT", "1"),
            ].map { StampedRow(row: $0, sequence: Rows.at(1)) })
        let (code, output) = try Self.run(Self.readers, [redis.server.socketPath])
        #expect(code == 0, "\(output)")
        let when = "2023-11-14T22:13:20.25Z"
        let wanted = """
            {"balance": {"buying_power": 997.5, "cash": 1000.5, "portfolio_value": 2000.0, \
            "updated_at": "\(when)"}, \
            "fields": ["buying_power", "cash", "portfolio_value", "updated_at"], \
            "positions": [{"market_value": "12.5", "qty": "5", "side": "long", "symbol": "AAPL", \
            "unrealized_pl": "2.5", "updated_at": "\(when)"}, \
            {"market_value": "12.5", "qty": "7", "side": "long", "symbol": "BRK.B", \
            "unrealized_pl": "2.5", "updated_at": "\(when)"}], \
            "quote": {"ask_price": null, "bid_price": 200.1, "last_price": null, "symbol": "AAPL", \
            "timestamp": "\(when)", "volume": 9}, \
            "quote_ttl": true, "ttl": [-1, -1], "types": ["hash", "hash", "hash"]}

            """
        #expect(output == wanted)
        // Nothing was lost for being hidden.
        #expect(
            try await store.row(RowKey(dataset: "balances", values: [.text("A")]))?.row == balance)
    }
}
