import Foundation

@testable import opsd

/// What a test wants of a desk.
struct DeskSettings: Sendable {
    var accounts = 3
    var cash = 100_000
    /// Limits so high that no test meets them, instead of the embedded default's.
    var raisesLimits = true
    var ordersPerMinute: Int?
    /// How soon a service that died is started again.
    var backoff = "100ms"

    /// The test runs the broker itself, so that no watchdog looks after it.
    var isBrokerOutside = false
    /// Further services, as lines of YAML.
    var services: [String] = []
    /// Further sections of the file, as YAML.
    var sections = ""
    /// The data directory is a disk of its own, so large; only root can have that.
    var diskMegabytes: Int?
    /// Further variables of the daemon, as NAME=VALUE.
    var environment: [String] = []

    var accountIDs: [String] {
        (1...accounts).map { number in
            let digits = String(number)
            return "TRADE_" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
        }
    }

    static func key(_ account: String) -> String { "PK-\(account)" }
    static func secret(_ account: String) -> String { "SK-\(account)" }

    /// Writes the embedded default with this desk's ports, accounts and limits.
    /// - Parameter ports: operations, trading, broker.
    func write(in data: String, ports: [Int]) throws {
        try PrivateFile.makeDirectory(data)
        try PrivateFile.makeDirectory(data + "/accounts")
        try PrivateFile.create(data + "/accounts/master_accounts.yaml", masters)
        try PrivateFile.create(data + "/accounts/trading_accounts.yaml", trading)
        let path = try EmbeddedDefault.write(in: data, loginName: "lin")
        var text = try String(contentsOfFile: path, encoding: .utf8)
        for (old, new) in replacements(ports) {
            guard text.contains(old) else {
                throw ChildProcess.Failure(
                    description: "the embedded default has no '\(old)' to put '\(new)' in place of")
            }
            text = text.replacing(old, with: new)
        }
        if isBrokerOutside {
            // Without the service of its own, the daemon would fetch quotes from the real broker.
            let paper = "paper: \"http://127.0.0.1:\(ports[2])\""
            text = text.replacing(paper, with: "\(paper)\n  data: \"http://127.0.0.1:\(ports[2])\"")
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            text = lines.filter { !$0.contains("{builtin: paper-broker") }
                .joined(separator: "\n")
        }
        let further = services.map { "\n  \($0)" }.joined()
        text = text.replacing("\nservices:", with: "\nservices:" + further) + "\n" + sections
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func replacements(_ ports: [Int]) -> [(String, String)] {
        let restart = "restart: {backoff: \(backoff), factor: 1, limit: \(backoff)}"
        var replacements = [
            ("127.0.0.1:9464", "127.0.0.1:\(ports[0])"),
            ("127.0.0.1:8080", "127.0.0.1:\(ports[1])"),
            ("127.0.0.1:8090", "127.0.0.1:\(ports[2])"),
            ("{builtin: core}", "{builtin: core, \(restart)}"),
            ("before: [core]}", "before: [core], \(restart)}"),
            ("cash: 100000 ", "cash: \(cash) "),
        ]
        if raisesLimits {
            replacements += [
                ("requests_per_second: 10000,", "requests_per_second: 1000000,"),
                ("account_requests_per_second: 100,", "account_requests_per_second: 1000000,"),
                ("requests_per_minute: 200000", "requests_per_minute: 100000000"),
                ("requests_per_minute: 200\n", "requests_per_minute: 1000000\n"),
            ]
        }
        return replacements
    }

    private var masters: String {
        let linked = accountIDs.map { "      - \"\($0)\"\n" }.joined()
        let limit = raisesLimits ? "900000000.00" : "100000.00"
        return """
            master_accounts:
              - account_id: "MASTER_001"
                account_type: "master"
                status: "active"
                risk_profile:
                  max_daily_loss: \(limit)
                  max_position_size: \(limit)
                  allowed_instruments: ["stocks", "options"]
                linked_trading_accounts:
            \(linked)\(credentials("MASTER_001"))
            """
    }

    private var trading: String {
        let ordersPerMinute = ordersPerMinute ?? (raisesLimits ? 1_000_000 : 60)
        let concurrent = raisesLimits ? 1_000_000 : 10
        let accounts = accountIDs.map { id in
            """
              - account_id: "\(id)"
                account_type: "trading"
                master_account: "MASTER_001"
                status: "active"
                trading_config:
                  max_orders_per_minute: \(ordersPerMinute)
                  max_concurrent_orders: \(concurrent)
                  allowed_order_types: ["market", "limit", "stop", "stop_limit"]
                  extended_hours_trading: true
                connection_pool:
                  max_connections: 5
                  idle_timeout: 300
                  health_check_interval: 60
                priority: "normal"
            \(credentials(id))
            """
        }
        return "trading_accounts:\n" + accounts.joined()
    }

    private func credentials(_ account: String) -> String {
        """
            alpaca_credentials:
              api_key: "\(Self.key(account))"
              secret_key: "\(Self.secret(account))"
              paper_trading: true

        """
    }
}
