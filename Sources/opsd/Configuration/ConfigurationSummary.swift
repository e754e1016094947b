import Foundation
import Ledger
import StrictYAML
import Trading

/// What `opsd check` prints: the configuration as it was understood, defaults included, secrets as
/// `***`. Sections that the file leaves out are marked.
struct ConfigurationSummary: CustomStringConvertible {
    let configuration: Configuration

    init(_ configuration: Configuration) {
        self.configuration = configuration
    }

    var description: String {
        let warnings = configuration.warnings.map(\.description)
        return (general + sections + accounts + services + warnings).joined(separator: "\n")
    }

    private func line(_ key: String, _ text: String) -> String {
        let mark = configuration.defaultedKeys.contains(key) ? "  (default)" : ""
        return "\(key): \(text)\(mark)"
    }

    private var general: [String] {
        let operators = configuration.operators.map { "\($0.name) (\($0.role.rawValue))" }
        return [
            "configuration: \(configuration.path)",
            line("node", configuration.node),
            line("time_zone", TimeZones.name(of: configuration.timeZone)),
            line("data_dir", configuration.dataDirectory),
            line("operators", operators.isEmpty ? "none" : operators.joined(separator: ", ")),
        ]
    }

    private var sections: [String] {
        let limits = configuration.limits
        let broker = configuration.broker
        let jwt = configuration.secrets.jwt
        return [
            line(
                "listen",
                "ops \(configuration.listen.ops), trading \(configuration.listen.trading)"),
            line(
                "secrets",
                "key_file \(configuration.secrets.keyFile), jwt \(jwt) (\(jwt.byteCount) bytes)"),
            line(
                "limits",
                "requests_per_second \(limits.requestsPerSecond), account_requests_per_second "
                    + "\(limits.accountRequestsPerSecond), connections \(limits.connections), "
                    + "account_connections \(limits.accountConnections), "
                    + "acquire_timeout \(YAMLValue.words(for: limits.acquireTimeout))"),
            line(
                "engine",
                "queue \(configuration.engine.queue), workers \(configuration.engine.workers)"),
            line(
                "journal",
                "roll_at \(configuration.journal.rollAt)B, "
                    + "keep \(YAMLValue.words(for: configuration.journal.keep))"),
            line(
                "broker",
                "\(broker.kind.rawValue), live \(shown(broker.live)), paper \(shown(broker.paper)), "
                    + "data \(shown(broker.data)), requests_per_minute \(broker.requestsPerMinute)"),
            line("paper_broker", paperBroker),
        ]
    }

    private var paperBroker: String {
        let settings = configuration.paperBroker
        let symbols = settings.symbols.map { "\($0.symbol) \($0.price)" }.joined(separator: ", ")
        return "symbols \(symbols.isEmpty ? "none" : symbols); seed \(settings.seed), "
            + "cash \(settings.cash), quotes \(settings.quotes ?? "a random walk"), "
            + "requests_per_minute \(settings.requestsPerMinute)"
    }

    private var accounts: [String] {
        let directory = configuration.accounts
        let head = line(
            "accounts",
            "\(directory.accounts.count) in \(configuration.accountFiles.count) files: "
                + "\(directory.masters.count) master, \(directory.tradingAccounts.count) trading, "
                + "\(directory.dataAccounts.count) data, \(directory.backups.count) backup")
        return [head] + directory.accounts.prefix(Self.accountsMax).map(words)
            + (directory.accounts.count > Self.accountsMax
                ? ["  … and \(directory.accounts.count - Self.accountsMax) more"] : [])
    }

    private static let accountsMax = 50

    private func words(for account: Account) -> String {
        var parts = [
            "  \(account.id) (\(account.role.rawValue)): \(account.status.rawValue)",
            account.credentials.paperTrading ? "paper" : "live",
            "key \(account.credentials.apiKey)",
            "\(account.connectionPool.maxConnections) connections",
            "priority \(account.priority.rawValue)",
        ]
        switch account.role {
        case .master:
            parts.append("links \(account.linkedTradingAccounts.count)")
        case .trading:
            parts.append("master \(account.masterAccount ?? "none")")
            parts.append("\(account.tradingConfig.maxOrdersPerMinute) orders a minute")
        case .data:
            parts.append("\(account.rateLimits.quotesPerSecond) quotes a second")
        case .backup:
            parts.append("covers \(account.covers.joined(separator: " "))")
        }
        return parts.joined(separator: ", ")
    }

    private var services: [String] {
        [line("services", "\(configuration.services.count)")]
            + configuration.services.map { "  \($0.name): " + words(for: $0) }
    }

    private func words(for service: ServiceSettings) -> String {
        var parts: [String] = []
        switch service.program {
        case .builtin(let builtin):
            parts.append("opsd \(builtin.rawValue)")
        case .command(let words):
            // Arguments may hold what `${env:…}` put there.
            parts.append("\(words.first ?? "") with \(max(0, words.count - 1)) arguments")
        }
        if !service.after.isEmpty { parts.append("after " + service.after.joined(separator: " ")) }
        if !service.before.isEmpty {
            parts.append("before " + service.before.joined(separator: " "))
        }
        parts += service.environment.keys.sorted().map { "\($0)=***" }
        parts.append("restart \(service.restart.policy.rawValue)")
        if !service.checks.isEmpty { parts.append("\(service.checks.count) checks") }
        return parts.joined(separator: ", ")
    }

    /// A URL without the password that may stand in it.
    private func shown(_ url: URL) -> String {
        guard url.user != nil || url.password != nil,
            var parts = URLComponents(url: url, resolvingAgainstBaseURL: false)
        else { return url.absoluteString }
        parts.user = nil
        parts.password = nil
        return parts.string ?? "***"
    }
}
