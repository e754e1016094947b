import AlpacaBroker
import CurlClient
import Foundation
import Ledger
import SQLiteStore
import Trading

/// Puts the trading core together from the configuration: the one place that knows every part.
struct CoreAssembly: Sendable {
    let configuration: Configuration
    let layout: DataLayout
    let curl: CurlClient
    let broker: AlpacaBroker

    init(_ configuration: Configuration) throws(CommandFailure) {
        self.configuration = configuration
        layout = DataLayout(configuration)
        try layout.prepare()
        curl = CurlClient(
            configuration: CurlConfiguration(
                connectionsPerHostMax: configuration.limits.connections,
                idleConnectionsMax: configuration.limits.connections))
        broker = Self.broker(configuration, curl)
    }

    private static func broker(_ configuration: Configuration, _ curl: CurlClient) -> AlpacaBroker {
        let settings = configuration.broker
        let accounts = configuration.accounts.accounts.map { account in
            let credentials = account.credentials
            return (
                account.id,
                AlpacaConfiguration.Account(
                    keyID: credentials.apiKey, secret: credentials.secretKey,
                    baseURL: (credentials.paperTrading ? settings.paper : settings.live)
                        .absoluteString)
            )
        }
        return AlpacaBroker(
            configuration: AlpacaConfiguration(
                accounts: Dictionary(accounts, uniquingKeysWith: { first, _ in first }),
                marketDataURL: settings.data.absoluteString,
                requestsPerMinute: settings.requestsPerMinute),
            client: curl)
    }

    /// Recovers the core and starts its engine. The broker is not spoken to before `run`.
    func start() async throws(CommandFailure) -> TradingCore {
        var options = TradingCore.Options()
        options.engine.queueCapacity = configuration.engine.queue
        options.workers = configuration.engine.workers
        options.journal.rollAtBytes = configuration.journal.rollAt
        // Stores that follow read from memory what has just become durable.
        if !configuration.datasets.isEmpty || configuration.events != nil {
            options.feedRows = 50_000
        }
        options.declared = configuration.declaredSchemas
        let rules = AccountRules.all(
            of: configuration.accounts, timeZone: configuration.timeZone)
        do {
            let store = try SQLiteStore(
                path: layout.checkpoint, schemas: configuration.catalogue, setsAside: true)
            return try await TradingCore.start(
                rules: rules, journalDirectory: layout.journal,
                store: MeteredStore(store, name: "checkpoint"), broker: broker, options: options)
        } catch let error as TradingCore.StartFailure {
            if case .journal(.lockedElsewhere) = error {
                throw CommandFailure(.refused, "\(error)")
            }
            throw CommandFailure(.unknown, "\(error)")
        } catch {
            throw CommandFailure(.unknown, "\(error)")
        }
    }

    /// Nil when no market data is cached in a store.
    func marketStore() throws(CommandFailure) -> MarketStore? {
        do {
            return try MarketStore(configuration)
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
    }

    /// - Parameter shared: where quotes are cached besides.
    func quoteBoard(_ shared: MarketStore?) -> QuoteBoard {
        let account = configuration.dataAccount
        let cache = account?.cacheConfig ?? DataCacheConfig()
        let limits = account?.rateLimits ?? DataRateLimits()
        return QuoteBoard(
            broker: broker, account: account?.id ?? "",
            preloaded: configuration.paperBroker.symbols.map(\.symbol),
            shared: shared?.hasQuotes == true ? shared : nil,
            timeToLiveSeconds: Int64(cache.ttlSeconds), symbolsMax: cache.maxSymbols,
            quotesPerSecond: limits.quotesPerSecond,
            // The rest keeps the symbols in use fresh, whatever clients ask for.
            fetchesPerMinute: max(1, configuration.broker.requestsPerMinute / 2))
    }

    /// - Parameter shared: where bars are cached besides.
    func barBoard(_ shared: MarketStore?) -> BarBoard {
        let account = configuration.dataAccount
        var settings = BarBoard.Settings()
        settings.barsPerMinute = (account?.rateLimits ?? DataRateLimits()).barsPerMinute
        settings.fetchesPerMinute = max(1, configuration.broker.requestsPerMinute / 4)
        return BarBoard(
            broker: broker, account: account?.id ?? "",
            shared: shared?.hasBars == true ? shared : nil, settings: settings)
    }
}
