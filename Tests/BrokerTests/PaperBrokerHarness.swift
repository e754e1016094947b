import AlpacaBroker
import CurlClient
import Foundation
import Ledger
import Logging
import PaperBroker
import TestSupport
import Testing
import Trading

/// A paper broker on a free port, and the adapter that talks to it.
struct Harness {
    let paper: PaperBroker
    let broker: AlpacaBroker
    let client: CurlClient
    let url: String
    let directory: TemporaryDirectory

    static let account = "main"

    static func configuration(_ path: String) -> PaperBrokerConfiguration {
        PaperBrokerConfiguration(
            dataFile: path,
            accounts: [
                .init(keyID: "key", secret: "secret", initialCash: ExactDecimal(100_000)),
                .init(keyID: "key-2", secret: "secret-2", initialCash: ExactDecimal(500)),
            ], tickInterval: nil, requestsPerMinute: 1_000_000, partialFillOneIn: 0)
    }

    static func alpaca(_ url: String) -> AlpacaConfiguration {
        AlpacaConfiguration(
            accounts: [
                "main": .init(
                    keyID: Secret("key"), secret: Secret("secret"), baseURL: url),
                "poor": .init(
                    keyID: Secret("key-2"), secret: Secret("secret-2"),
                    baseURL: url),
                "wrong": .init(
                    keyID: Secret("key"), secret: Secret("secreT"), baseURL: url),
            ], marketDataURL: url, requestsPerMinute: 1_000_000, timeout: .seconds(20))
    }

    /// Serves while `body` runs.
    static func run(
        _ directory: TemporaryDirectory, file: String = "paper.sqlite",
        configure: (inout PaperBrokerConfiguration) -> Void = { _ in },
        now: @escaping @Sendable () -> Timestamp = Timestamp.now,
        _ body: (Harness) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var configuration = configuration(directory.path(file))
        configure(&configuration)
        let paper = try PaperBroker(configuration: configuration, logger: logger, now: now)
        let serving = Task { try await paper.run() }
        let client = CurlClient()
        let outcome: Result<Void, any Error>
        do {
            let url = "http://127.0.0.1:\(try await paper.boundPort)"
            try await body(
                Harness(
                    paper: paper,
                    broker: AlpacaBroker(configuration: alpaca(url), client: client),
                    client: client, url: url, directory: directory))
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await client.shutdown()
        serving.cancel()
        _ = await serving.result
        try outcome.get()
    }

    /// A call in the dialect, past the adapter.
    func call(
        _ method: CurlRequest.Method, _ path: String, _ body: String? = nil,
        key: String = "key", secret: String = "secret"
    ) async throws -> CurlResponse {
        try await client.send(
            CurlRequest(
                method, url + path,
                headers: ["APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret],
                body: body.map { Array($0.utf8) }))
    }
}

func decimal(_ text: String) throws -> ExactDecimal {
    try #require(ExactDecimal(text))
}

/// The error of a broker's call, nil when it has none.
func failure<Value>(_ body: () async throws(BrokerError) -> Value) async -> BrokerError? {
    do throws(BrokerError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

func buy(
    _ symbol: String = "AAPL", _ quantity: Int = 10, limit: ExactDecimal? = nil,
    timeInForce: Trading.TimeInForce = .day
) -> OrderTerms {
    OrderTerms(
        symbol: symbol, side: .buy, type: limit == nil ? .market : .limit,
        quantity: ExactDecimal(quantity), limitPrice: limit, timeInForce: timeInForce)
}
