import Foundation
import Hummingbird
public import Ledger
public import Logging
import NIOCore
public import ServiceLifecycle
import Synchronization

/// A broker on paper, behind a server that speaks Alpaca's REST dialect.
///
/// Cash accounts only: no margin and no short sales. The market never closes. An order that was
/// answered is on disk: `kill -9` loses none and doubles none.
public final class PaperBroker: Service {
    private let configuration: PaperBrokerConfiguration
    private let exchange: PaperExchange
    private let now: @Sendable () -> Timestamp
    private let logger: Logger
    private let binding = Binding()

    /// Opens the data file. `now` is the clock of the market and of the rate limit.
    public init(
        configuration: PaperBrokerConfiguration,
        logger: Logger = Logger(label: "paper-broker"),
        now: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) throws {
        let keys = configuration.accounts.map(\.keyID)
        guard Set(keys).count == keys.count,
            !configuration.accounts.contains(where: { $0.secret.isEmpty })
        else {
            throw PaperBrokerError(
                description: "each account needs a key id of its own and a secret")
        }
        self.configuration = configuration
        self.now = now
        self.logger = logger
        exchange = try PaperExchange(
            configuration: configuration, market: try Self.market(configuration), now: now())
    }

    private static func market(_ configuration: PaperBrokerConfiguration) throws -> Market {
        guard let path = configuration.quotesFile else {
            return .walk(
                try RandomWalk(startPrices: configuration.startPrices, seed: configuration.seed))
        }
        return .replay(try QuoteReplay(csv: try String(contentsOfFile: path, encoding: .utf8)))
    }

    /// Serves until the service group shuts down or the task is cancelled.
    public func run() async throws {
        defer { binding.fail() }
        let application = Application(
            responder: PaperResponder(configuration, exchange, now, logger),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port)),
            onServerRunning: { [binding] channel in
                if let port = channel.localAddress?.port { binding.succeed(port) }
            },
            logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            if let interval = configuration.tickInterval {
                group.addTask { await self.tick(every: interval) }
            }
            // Only the server ends by itself; the ticks then end with it.
            _ = try await group.next()
            group.cancelAll()
        }
    }

    /// Where the server listens; waits until it does, and throws when it ends before that.
    public var boundPort: Int {
        get async throws { try await binding.port() }
    }

    /// Moves the market by one step and matches the open orders.
    public func advanceMarket() async throws {
        try await exchange.advanceMarket(now: now())
    }

    private func tick(every interval: Duration) async {
        while !Task.isCancelled {
            guard (try? await Task.sleep(for: interval)) != nil else { return }
            do {
                try await advanceMarket()
            } catch {
                logger.error("the market could not move", metadata: ["error": "\(error)"])
            }
        }
    }
}

/// The port once it is known. A lock and not an actor, because the server's callback sets it.
private final class Binding: Sendable {
    private struct State {
        var result: Result<Int, PaperBrokerError>?
        var waiting: [CheckedContinuation<Int, any Error>] = []
    }

    private let state = Mutex(State())

    func succeed(_ port: Int) { settle(.success(port)) }

    /// Has no effect on a port that is known.
    func fail() { settle(.failure(PaperBrokerError(description: "the server did not start"))) }

    private func settle(_ result: Result<Int, PaperBrokerError>) {
        let waiting = state.withLock { state in
            if state.result == nil { state.result = result }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting {
            continuation.resume(with: result.mapError { $0 as any Error })
        }
    }

    func port() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            let known = state.withLock { state in
                if state.result == nil { state.waiting.append(continuation) }
                return state.result
            }
            if let known { continuation.resume(with: known.mapError { $0 as any Error }) }
        }
    }
}
