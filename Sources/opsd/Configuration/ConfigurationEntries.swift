import Foundation
import Ledger
import StrictYAML
import Trading

/// One setting as it was understood.
struct ConfigurationEntry: Sendable, Equatable {
    /// The keys that lead to it. An item of a list is in brackets: `health`, `[disk]`, `period`.
    let keys: [String]
    /// What people see: `***` for a secret.
    let shown: String
    /// What is compared, kept where nothing prints it.
    let exact: Secret
    let isDefault: Bool

    /// `services.core.restart.policy`, `health[disk].period`.
    var path: String { Self.path(of: keys) }

    static func path(of keys: [String]) -> String {
        keys.dropFirst().reduce(keys.first ?? "") { path, key in
            key.hasPrefix("[") ? path + key : path + "." + key
        }
    }
}

/// Lists every setting of a configuration, defaults included.
struct ConfigurationEntries {
    private(set) var entries: [ConfigurationEntry] = []
    private let written: Set<String>
    private var section: [String] = []

    static func of(_ configuration: Configuration) -> [ConfigurationEntry] {
        var list = ConfigurationEntries(written: configuration.writtenKeys)
        list.general(configuration)
        list.capacity(configuration)
        list.broker(configuration)
        for service in configuration.services { list.service(service) }
        for check in configuration.health { list.health(check) }
        for store in configuration.stores { list.store(store) }
        let kinds = Dictionary(
            configuration.stores.map { ($0.name, $0.kind) }, uniquingKeysWith: { first, _ in first }
        )
        for dataset in configuration.datasets { list.dataset(dataset, kinds: kinds) }
        list.events(configuration.events)
        list.schedule(configuration)
        for check in configuration.verify { list.verification(check, kinds: kinds) }
        return list.entries
    }

    private init(written: Set<String>) {
        self.written = written
    }

    // MARK: Adding

    mutating func add(_ key: String, _ text: String, exact: String? = nil) {
        let keys = section + [key]
        entries.append(
            ConfigurationEntry(
                keys: keys, shown: text, exact: Secret(exact ?? text),
                isDefault: !written.contains(ConfigurationEntry.path(of: keys))))
    }

    mutating func add(_ key: String, _ number: Int?, none: String = "none") {
        add(key, number.map { "\($0)" } ?? none)
    }

    mutating func add(_ key: String, _ duration: Duration?) {
        add(key, duration.map { YAMLValue.words(for: $0) } ?? "none")
    }

    private mutating func add(_ key: String, bytes: Int?) {
        add(key, bytes.map { YAMLValue.words(forBytes: $0) } ?? "none")
    }

    mutating func add(_ key: String, _ names: [String]) {
        add(key, "[\(names.joined(separator: ", "))]")
    }

    private mutating func add(_ key: String, _ secret: Secret) {
        add(key, "\(secret) (\(secret.byteCount) bytes)", exact: secret.reveal())
    }

    /// Arguments may hold what `${env:…}` put there.
    mutating func add(_ key: String, command words: [String]) {
        let rest = words.count - 1
        let more = rest > 0 ? " with \(rest) argument\(rest == 1 ? "" : "s")" : ""
        add(key, (words.first ?? "") + more, exact: words.joined(separator: "\0"))
    }

    private mutating func add(_ key: String, _ url: URL) {
        add(key, ShownURL.text(url), exact: url.absoluteString)
    }

    mutating func within(_ keys: String..., body: (inout ConfigurationEntries) -> Void) {
        let outer = section
        section += keys
        body(&self)
        section = outer
    }

    // MARK: Sections

    private mutating func general(_ configuration: Configuration) {
        add("node", configuration.node)
        add("time_zone", TimeZones.name(of: configuration.timeZone))
        add("data_dir", configuration.dataDirectory)
        for person in configuration.operators {
            within("operators", "[\(person.name)]") { $0.add("role", person.role.rawValue) }
        }
        within("listen") {
            $0.add("ops", configuration.listen.ops.description)
            $0.add("trading", configuration.listen.trading.description)
        }
        within("secrets") {
            $0.add("key_file", configuration.secrets.keyFile)
            $0.add("jwt", configuration.secrets.jwt)
        }
        add("accounts", configuration.accountFiles.map(\.path))
    }

    private mutating func capacity(_ configuration: Configuration) {
        let limits = configuration.limits
        within("limits") {
            $0.add("requests_per_second", limits.requestsPerSecond)
            $0.add("account_requests_per_second", limits.accountRequestsPerSecond)
            $0.add("connections", limits.connections)
            $0.add("account_connections", limits.accountConnections)
            $0.add("acquire_timeout", limits.acquireTimeout)
        }
        within("engine") {
            $0.add("queue", configuration.engine.queue)
            $0.add("workers", configuration.engine.workers)
        }
        within("journal") {
            $0.add("roll_at", bytes: configuration.journal.rollAt)
            $0.add("keep", configuration.journal.keep)
        }
    }

    private mutating func broker(_ configuration: Configuration) {
        let broker = configuration.broker
        within("broker") {
            $0.add("kind", broker.kind.rawValue)
            $0.add("live", broker.live)
            $0.add("paper", broker.paper)
            $0.add("data", broker.data)
            $0.add("requests_per_minute", broker.requestsPerMinute)
        }
        let paper = configuration.paperBroker
        within("paper_broker") {
            for symbol in paper.symbols {
                $0.within("symbols") { $0.add(symbol.symbol, symbol.price.description) }
            }
            $0.add("seed", paper.seed)
            $0.add("cash", paper.cash.description)
            $0.add("quotes", paper.quotes ?? "none, the prices walk at random")
            $0.add("requests_per_minute", paper.requestsPerMinute)
        }
    }

    private mutating func service(_ service: ServiceSettings) {
        within("services", service.name) { list in
            switch service.program {
            case .builtin(let builtin): list.add("builtin", builtin.rawValue)
            case .command(let words): list.add("command", command: words)
            }
            list.add("after", service.after)
            list.add("before", service.before)
            for (name, value) in service.environment.sorted(by: { $0.key < $1.key }) {
                list.within("environment") { $0.add(name, "\(value)", exact: value.reveal()) }
            }
            list.add("working_directory", service.workingDirectory ?? "the configuration's folder")
            list.add("ready_timeout", service.readyTimeout)
            list.add("watchdog", service.watchdog)
            list.within("limits") {
                $0.add("memory", bytes: service.limits.memory)
                $0.add("open_files", service.limits.openFiles)
            }
            list.within("log") {
                $0.add("rotate_at", bytes: service.log.rotateAt)
                $0.add("keep", service.log.keep)
            }
            list.policies(service)
        }
    }

    private mutating func policies(_ service: ServiceSettings) {
        within("restart") {
            $0.add("policy", service.restart.policy.rawValue)
            $0.add("backoff", service.restart.backoff)
            $0.add("factor", service.restart.factor.description)
            $0.add("limit", service.restart.limit)
            $0.add("reset_after", service.restart.resetAfter)
        }
        for (index, check) in service.checks.enumerated() {
            within("checks", "[\(index + 1)]") { list in
                switch check.probe {
                case .http(let url): list.add("http", url)
                case .tcp(let address): list.add("tcp", address.description)
                case .command(let words): list.add("command", command: words)
                }
                list.add("period", check.period)
                list.add("timeout", check.timeout)
                list.add("threshold", check.threshold)
                list.add("success_threshold", check.successThreshold)
                list.add("degraded_from", check.degradedFrom)
            }
        }
        within("stop") {
            $0.add("signal", service.stop.signal.rawValue)
            $0.add("timeout", service.stop.timeout)
        }
    }

    private mutating func health(_ check: HealthCheckSettings) {
        within("health", "[\(check.name)]") { list in
            list.probe(check.probe)
            list.add("period", check.period)
            list.add("timeout", check.timeout)
            list.add("threshold", check.threshold)
            list.add("success_threshold", check.successThreshold)
            list.add("degraded_from", check.degradedFrom)
            list.add("depends_on", check.dependsOn)
        }
    }

    private mutating func probe(_ probe: HealthCheckSettings.Probe) {
        switch probe {
        case .http(let url, let status):
            add("http", url)
            add("status", status, none: "200 to 299")
        case .tcp(let address): add("tcp", address.description)
        case .command(let words): add("command", command: words)
        case .disk(let path, let margin):
            add("path", path)
            add("free_below", margin.description)
        case .fileAge(let path, let stale):
            add("file", path)
            add("stale_after", stale)
        case .process(let file): add("pid_file", file)
        case .service(let name): add("service", name)
        case .store(let probe):
            add("store", probe.store.name)
            storeQuestion(probe.question)
        }
    }
}

/// A URL without what gives access: the password, and the query and the fragment, where services
/// expect tokens.
enum ShownURL {
    static func text(_ url: URL) -> String {
        guard var parts = URLComponents(url: url, resolvingAgainstBaseURL: false) else {
            return "***"
        }
        if parts.user != nil || parts.password != nil {
            parts.user = nil
            parts.password = nil
        }
        if parts.query != nil { parts.query = "***" }
        if parts.fragment != nil { parts.fragment = "***" }
        return parts.string ?? "***"
    }
}

/// What two versions of an account are compared by.
enum AccountEntries {
    /// By account id: its settings, secrets masked in what is shown.
    static func of(_ account: Account) -> [ConfigurationEntry] {
        let pool = account.connectionPool
        let risk = account.riskProfile
        let trading = account.tradingConfig
        let settings: [(String, String)] = [
            ("account_type", account.role.rawValue), ("status", account.status.rawValue),
            ("paper_trading", "\(account.credentials.paperTrading)"),
            ("priority", account.priority.rawValue),
            ("created_at", account.createdAt.map(\.description) ?? "none"),
            ("max_connections", "\(pool.maxConnections)"),
            ("idle_timeout", "\(pool.idleTimeoutSeconds)"),
            ("health_check_interval", "\(pool.healthCheckIntervalSeconds)"),
            ("max_daily_loss", risk.maxDailyLoss?.description ?? "none"),
            ("max_position_size", risk.maxPositionSize?.description ?? "none"),
            ("allowed_instruments", words(risk.allowedInstruments)),
            ("linked_trading_accounts", account.linkedTradingAccounts.joined(separator: ", ")),
            ("last_settlement", account.lastSettlement.map(\.description) ?? "none"),
            ("master_account", account.masterAccount ?? "none"),
            ("max_orders_per_minute", "\(trading.maxOrdersPerMinute)"),
            ("max_concurrent_orders", "\(trading.maxConcurrentOrders)"),
            (
                "allowed_order_types",
                trading.allowedOrderTypes.map(\.rawValue).sorted().joined(separator: ", ")
            ),
            ("extended_hours_trading", "\(trading.extendedHoursTrading)"),
            ("data_sources", account.dataSources.joined(separator: ", ")),
            ("quotes_per_second", "\(account.rateLimits.quotesPerSecond)"),
            ("bars_per_minute", "\(account.rateLimits.barsPerMinute)"),
            ("ttl_seconds", "\(account.cacheConfig.ttlSeconds)"),
            ("max_symbols", "\(account.cacheConfig.maxSymbols)"),
            ("covers", account.covers.joined(separator: ", ")),
        ]
        return settings.map { entry(account, $0, $1, Secret($1)) } + [
            entry(account, "api_key", "***", account.credentials.apiKey),
            entry(account, "secret_key", "***", account.credentials.secretKey),
        ]
    }

    private static func entry(
        _ account: Account, _ key: String, _ shown: String, _ exact: Secret
    ) -> ConfigurationEntry {
        ConfigurationEntry(
            keys: ["accounts", "[\(account.id)]", key], shown: shown, exact: exact,
            isDefault: false)
    }

    private static func words(_ instruments: AllowedInstruments) -> String {
        switch instruments {
        case .all: "all"
        case .only(let classes, let symbols):
            (classes.map(\.rawValue).sorted() + symbols.sorted()).joined(separator: ", ")
        }
    }
}
