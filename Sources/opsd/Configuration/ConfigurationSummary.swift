import Foundation
import Ledger
import StrictYAML
import Trading

/// What `opsd check` prints: every setting as it was understood, defaults marked, secrets as `***`.
struct ConfigurationSummary: CustomStringConvertible {
    let configuration: Configuration
    let entries: [ConfigurationEntry]

    init(_ configuration: Configuration) {
        self.configuration = configuration
        entries = ConfigurationEntries.of(configuration)
    }

    var description: String {
        (["configuration: \(configuration.path)"] + settings + accounts).joined(separator: "\n")
    }

    /// A tree, indented as the file is.
    private var settings: [String] {
        var lines: [String] = []
        var last: [String] = []
        for entry in entries {
            let parents = Array(entry.keys.dropLast())
            let common = zip(parents, last).prefix { $0 == $1 }.count
            for depth in common..<parents.count {
                lines.append(indentation(depth) + parents[depth] + ":")
            }
            last = parents
            let mark = entry.isDefault ? "  (default)" : ""
            lines.append(
                indentation(parents.count) + "\(entry.keys.last ?? ""): \(entry.shown)\(mark)")
        }
        return lines
    }

    private func indentation(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

    private var accounts: [String] {
        let directory = configuration.accounts
        let head =
            "\(directory.accounts.count) accounts in \(configuration.accountFiles.count) files: "
            + "\(directory.masters.count) master, \(directory.tradingAccounts.count) trading, "
            + "\(directory.dataAccounts.count) data, \(directory.backups.count) backup"
        let rest = directory.accounts.count - Self.accountsMax
        return [head] + directory.accounts.prefix(Self.accountsMax).map(words)
            + (rest > 0 ? ["  … and \(rest) more"] : [])
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
}
