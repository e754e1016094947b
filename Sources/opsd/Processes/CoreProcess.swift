import Control
import CurlClient
import Foundation
import Hummingbird
import HummingbirdCore
import Ledger
import Logging
import ServiceLifecycle
import StrictYAML
import Trading
import TradingHTTP
import UnixSignals

/// `opsd core`: the trading core in a process of its own, with its HTTP API and its control socket.
struct CoreProcess {
    let configuration: Configuration

    /// A command that does a core's work while none runs has the lock for a moment.
    private static let lockWait = Duration.seconds(10)

    func run() async throws {
        ProcessLimits.forbidCoreDumps()
        ProcessLimits.raiseOpenFiles()
        let registry = Telemetry.bootstrap(
            process: "core", descriptions: CoreMetrics.descriptions)
        let assembly = try CoreAssembly(configuration)
        let patience = Patience(limit: Self.lockWait)
        let lock = try await patience.retry { () throws(CommandFailure) in
            try assembly.layout.hold("core")
        }
        defer { withExtendedLifetime(lock) {} }
        let listening = configuration.listen.trading.listening(as: "listen.trading")
        try listening.requireFree()
        // A command lets go of the journal's own lock as it ends, a moment after the other one.
        let core = try await patience.retry { () async throws(CommandFailure) in
            try await assembly.start()
        }
        let market = try assembly.marketStore()
        let quotes = assembly.quoteBoard(market)
        let copies = StoreCopies(core, configuration, configuration.catalogue)
        CoreMetrics.collect(
            from: core, copies,
            checks: Set(
                configuration.verifiedPlaces.map { configuration.checkName(of: $0.dataset) }),
            into: registry)
        let repairs = RepairKeeper(core, configuration, store: copies.repairable)
        let accessLog = AccessLog(path: assembly.layout.accessLog)
        let api = await tradingAPI(
            core, copies, quotes, assembly.barBoard(market), accessLog)
        let control = ControlServer(
            socketPath: assembly.layout.socket(of: "core"), registry: registry,
            readiness: { readiness(core) })
        CoreControl(
            core: core, copies: copies, market: market, directory: configuration.accounts,
            repairs: repairs
        ).addRoutes(to: control.router)
        // Services stop in the reverse of this order: nothing new comes in before the core ends.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: CoreService(core: core), successTerminationBehavior: .cancelGroup),
                    .init(
                        service: TaskService {
                            async let cached: Void? = market?.run()
                            async let carried: Void = repairs.carryOn()
                            await copies.run()
                            _ = await (cached, carried)
                        }),
                    .init(service: TaskService { await accessLog.run() }),
                    .init(
                        service: TaskService {
                            await quotes.run(every: .seconds(2)) {
                                core.engine.published.heldSymbols
                            }
                        }),
                    .init(service: control.application()),
                    .init(service: tradingServer(api)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "core")))
        try await listening.run(group)
        await assembly.curl.shutdown()
    }

    private func tradingAPI(
        _ core: TradingCore, _ copies: StoreCopies, _ quotes: QuoteBoard, _ bars: BarBoard,
        _ accessLog: AccessLog
    ) async -> TradingAPI {
        let directory = configuration.accounts
        let limits = RequestLimits(
            requestsPerSecond: configuration.limits.requestsPerSecond,
            accountRequestsPerSecond: configuration.limits.accountRequestsPerSecond,
            ordersPerMinute: Dictionary(
                directory.tradingAccounts.map { ($0.id, $0.tradingConfig.maxOrdersPerMinute) },
                uniquingKeysWith: { first, _ in first }))
        return TradingAPI(
            core: core, routed: RoutedReader(reader: copies.reader),
            delivery: StoreDelivery(configuration, copies.dualWrite), quotes: quotes,
            bars: bars, directory: directory, limits: limits,
            authority: await TokenAuthority(secret: configuration.secrets.jwt),
            accessLog: accessLog)
    }

    private func tradingServer(_ api: TradingAPI) -> some ApplicationProtocol {
        let address = configuration.listen.trading
        var logger = Logger(label: "trading-api")
        logger.logLevel = .notice
        return Application(
            router: api.router(),
            // A client that says nothing for long is closed; whoever opens more than half of what the
            // core may have waits, so that its journal, its broker and its stores have the rest.
            server: .http1(configuration: .init(idleTimeout: .seconds(300))),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port), serverName: "opsd",
                availableConnectionsDelegate: MaximumAvailableConnections(
                    max(1, ProcessLimits.openFiles / 2))),
            logger: logger)
    }

    /// Ready once an account can trade; an account that cannot is refused by itself.
    private func readiness(_ core: TradingCore) -> String? {
        if core.engine.isJournalFull {
            return "the disk is full: orders are refused until there is room"
        }
        let accounts = configuration.accounts.tradingAccounts.filter(\.status.acceptsOrders)
        let isAnyOpen = accounts.contains { core.engine.published.balance($0.id) != nil }
        return accounts.isEmpty || isAnyOpen
            ? nil : "no account is synchronised with the broker yet"
    }
}

/// The trading core within a service group: a journal that fails ends the process.
private struct CoreService: Service {
    let core: TradingCore

    func run() async throws {
        let failure = await cancelWhenGracefulShutdown { [core] in await core.run() }
        if let failure { throw CommandFailure(.unknown, "\(failure)") }
    }
}

/// A task that works until it is cancelled, within a service group.
struct TaskService: Service {
    let work: @Sendable () async -> Void

    init(_ work: @escaping @Sendable () async -> Void) {
        self.work = work
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [work] in await work() }
    }
}
