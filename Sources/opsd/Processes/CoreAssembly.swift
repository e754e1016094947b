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

    /// The account whose credentials fetch market data: a data account, else any trading account.
    var dataAccount: Account? {
        configuration.accounts.dataAccounts.first { $0.status.isConnected }
            ?? configuration.accounts.tradingAccounts.first
    }

    func quoteBoard() -> QuoteBoard {
        let cache = dataAccount?.cacheConfig ?? DataCacheConfig()
        let limits = dataAccount?.rateLimits ?? DataRateLimits()
        return QuoteBoard(
            broker: broker, account: dataAccount?.id ?? "",
            preloaded: configuration.paperBroker.symbols.map(\.symbol),
            timeToLiveSeconds: Int64(cache.ttlSeconds), symbolsMax: cache.maxSymbols,
            quotesPerSecond: limits.quotesPerSecond,
            // The other half keeps the symbols in use fresh, whatever clients ask for.
            fetchesPerMinute: max(1, configuration.broker.requestsPerMinute / 2))
    }
}
