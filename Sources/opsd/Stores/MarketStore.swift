import Ledger
import RedisStore
import Trading

/// Market data in the caches that the configuration names, and beside the quotes what other programs
/// want to know of the accounts.
struct MarketStore: MarketCache {
    /// By store.
    private let stores: [CacheStore]
    private let quoteStore: CacheStore?
    private let barStore: CacheStore?
    private let accounts: [Account]

    /// What was lost with the server is there again after this.
    private static let accountsEvery = Duration.seconds(60)

    /// Nil when nothing is cached.
    init?(_ configuration: Configuration) throws(StoreError) {
        let cached = configuration.datasets.filter { Datasets.caches[$0.name] != nil }
        let names = Set(cached.compactMap(\.old))
        var opened: [String: CacheStore] = [:]
        for settings in configuration.stores where names.contains(settings.name) {
            opened[settings.name] = try Self.open(
                settings, cached.filter { $0.old == settings.name }, configuration)
        }
        func store(of schema: Schema) -> CacheStore? {
            cached.first { $0.name == schema.dataset }?.old.flatMap { opened[$0] }
        }
        quoteStore = store(of: Datasets.quotes)
        barStore = store(of: Datasets.bars)
        guard quoteStore != nil || barStore != nil else { return nil }
        stores = opened.values.sorted { $0.name < $1.name }
        accounts = configuration.accounts.accounts
    }

    private static func open(
        _ settings: StoreSettings, _ datasets: [DatasetSettings], _ configuration: Configuration
    ) throws(StoreError) -> CacheStore {
        do {
            var layouts: [RedisLayout] = []
            for dataset in datasets {
                guard let schema = Datasets.caches[dataset.name] else { continue }
                layouts.append(
                    try OpenStores.redisLayout(
                        schema, dataset.layout[settings.name],
                        cacheTimeToLive: schema == Datasets.quotes
                            ? configuration.quoteTimeToLive : nil))
            }
            layouts.append(try RedisLayouts.standard(for: Datasets.accountConfigs))
            return try CacheStore(
                name: settings.name, url: try RedisURL(settings.url?.reveal() ?? ""),
                layouts: layouts, timeout: settings.timeout)
        } catch {
            throw .refused(store: settings.name, problem: "\(error)")
        }
    }

    var hasQuotes: Bool { quoteStore != nil }
    var hasBars: Bool { barStore != nil }
    /// Those that are left alone at present.
    var failures: [(store: String, failure: CacheStore.Failure)] {
        stores.compactMap { store in store.failure.map { (store.name, $0) } }
    }

    /// Until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for store in stores { group.addTask { await store.run() } }
            group.addTask {
                while !Task.isCancelled {
                    (quoteStore ?? barStore)?.put(accounts.map(\.configRow))
                    try? await Task.sleep(for: Self.accountsEvery)
                }
            }
        }
    }

    func quote(_ symbol: String) async -> BrokerQuote? {
        let key = RowKey(dataset: Datasets.quotes.dataset, values: [.text(symbol)])
        return await quoteStore?.row(key).flatMap(BrokerQuote.init(row:))
    }

    func put(_ quotes: [BrokerQuote], changed: Set<String>) {
        quoteStore?.put(
            quotes.map(\.row),
            quotes.filter { changed.contains($0.symbol) }.map {
                RedisStore.Message(channel: "market:\($0.symbol)", payload: $0.message)
            })
    }

    func bars(_ symbol: String, _ timeframe: Timeframe) async -> BarWindow? {
        let key = RowKey(
            dataset: Datasets.bars.dataset, values: [.text(symbol), .text(timeframe.rawValue)])
        return await barStore?.row(key).flatMap(BarWindow.init(row:))
    }

    func put(_ window: BarWindow, _ symbol: String, _ timeframe: Timeframe) {
        barStore?.put([window.row(symbol, timeframe)])
    }
}

extension Configuration {
    /// The account whose credentials fetch market data: a data account, else any trading account.
    var dataAccount: Account? {
        accounts.dataAccounts.first { $0.status.isConnected } ?? accounts.tradingAccounts.first
    }

    var quoteTimeToLive: Duration {
        .seconds(dataAccount?.cacheConfig.ttlSeconds ?? DataCacheConfig().ttlSeconds)
    }
}
