import Foundation
import TestSupport
import Testing

@testable import StrictYAML
@testable import Trading
@testable import opsd

/// Ten thousand spoiled files, the same ones each time: none ends the process, none has an unknown key taken in silence.
@Suite struct ConfigurationFuzzTests {
    /// Valid files that between them have every section.
    static let files = [
        """
        node: desk-1
        time_zone: Asia/Shanghai
        operators: [{name: lin, role: admin}, {name: wu, role: trader}]
        listen:
          ops: 127.0.0.1:9464
          trading: 127.0.0.1:8080
        secrets:
          jwt: 0123456789abcdef0123456789abcdef
        accounts: [a.yaml]
        """,
        """
        secrets: {jwt: 0123456789abcdef0123456789abcdef}
        accounts: []
        limits: {requests_per_second: 10, connections: 20, acquire_timeout: 30s}
        engine: {queue: 10, workers: 20}
        journal: {roll_at: 256MB, keep: 30d}
        broker:
          kind: alpaca
          paper: "http://127.0.0.1:8090"
          requests_per_minute: 200
        paper_broker:
          symbols: {AAPL: 189.30, TSLA: 248.10}
          seed: 1
          cash: 100000
        """,
        """
        secrets: {jwt: 0123456789abcdef0123456789abcdef}
        accounts: []
        services:
          core: {builtin: core}
          signals:
            command: [python3, signals.py]
            after: [core]
            environment: {OPSD_URL: "http://127.0.0.1:8080"}
            limits: {memory: 512MB, open_files: 4096}
            log: {rotate_at: 64MB, keep: 5}
            watchdog: 5s
            restart: {policy: always, backoff: 500ms, factor: 2}
            checks:
              - http: "http://127.0.0.1:7000/health"
                period: 10s
                threshold: 3
            stop: {signal: TERM, timeout: 10s}
        """,
        """
        secrets: {jwt: 0123456789abcdef0123456789abcdef}
        accounts: []
        health:
          - {name: disk, path: /, free_below: 10%, period: 60s}
          - name: web
            http: "http://127.0.0.1:1/"
            status: 200
            success_threshold: 2
            degraded_from: 500ms
            depends_on: [core]
          - {name: file, file: a.yaml, stale_after: 1h}
          - {name: service, service: core, depends_on: [web]}
        """,
        """
        secrets: {jwt: 0123456789abcdef0123456789abcdef}
        accounts: []
        stores:
          filed: {kind: files, path: files}
          hot: {kind: redis, url: "redis://h:1/0", connections: {min: 1, max: 5}, timeout: 5s}
          psql: {kind: postgres, url: "postgres://u@h/d"}
        datasets:
          positions: {old: filed, new: hot, also: [psql], read: new, fallback: old}
          held_days:
            kind: declared
            on_failure: roll_forward
            key: {account_id: text, symbol: text}
            fields: {days: integer, max_price: decimal}
            old: hot
            also: [filed, psql]
            layout:
              hot: {key: "a:{account_id}", field: "{symbol}", value: json, fields: [days]}
              filed: {path: held.csv, format: csv}
              psql: {table: held, columns: {days: held_for}}
          seen:
            kind: cache
            key: [symbol]
            fields: {price: decimal}
            old: hot
            layout: {hot: {key: "seen:{symbol}", ttl: 30s}}
        """,
    ]

    /// An account file, spoiled in the same ways.
    static let accounts = """
        accounts:
          - account_id: M
            account_type: master
            risk_profile: {max_daily_loss: 5.00, allowed_instruments: [stocks, AAPL]}
            linked_trading_accounts: [T]
            alpaca_credentials: {api_key: a, secret_key: b}
          - account_id: T
            account_type: trading
            master_account: M
            trading_config: {max_orders_per_minute: 60, allowed_order_types: [market]}
            connection_pool: {max_connections: 5, priority: high}
            alpaca_credentials:
              api_key: c
              secret_key: d
              paper_trading: true
        """

    /// Rounds for each of four seeds.
    private static let count = 2_500
    private let folder: ConfigurationFolder

    init() throws {
        folder = try ConfigurationFolder()
        try folder.write(
            "a.yaml",
            "accounts: [{account_id: A, account_type: trading, "
                + "alpaca_credentials: {api_key: k, secret_key: s}}]\n")
    }

    /// What reading a text comes to: nil when it is taken.
    private func refusal(_ text: String) -> String? {
        let findings = Findings()
        guard let document = try? YAMLDocument(text: text, file: "o.yaml") else { return "YAML" }
        let reader = ConfigurationReader(
            path: folder.path("o.yaml"), environment: { _ in nil }, loginName: "lin",
            findings: findings)
        _ = reader.read(document)
        return findings.hasErrors ? "\(StrictYAMLError(findings: findings.all))" : nil
    }

    private func accountsRefusal(_ text: String) -> String? {
        let findings = Findings()
        guard let document = try? YAMLDocument(text: text, file: "a.yaml") else { return "YAML" }
        let expansion = Expansion(environment: { _ in nil }, folder: "")
        let records = AccountDirectory.read(
            document.root(findings: findings, expansion: expansion), connectionsMax: 5)
        AccountChecks(records: records, findings: findings).run(linksToo: true)
        return findings.hasErrors ? "\(StrictYAMLError(findings: findings.all))" : nil
    }

    @Test(arguments: 1...4)
    func noMutationCrashesOrHasAnUnknownKeyTakenInSilence(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        for file in Self.files { #expect(refusal(file) == nil, "\(refusal(file) ?? "")") }
        #expect(accountsRefusal(Self.accounts) == nil)
        let shapes = [ConfigurationReader.shape, AccountDirectory.shape]
        var taken = 0
        for round in 0..<Self.count {
            let turn = round % (Self.files.count + 1)
            let isAccounts = turn == Self.files.count
            let original = isAccounts ? Self.accounts : Self.files[turn]
            var mutation = Mutation(text: original)
            for _ in 0..<Int.random(in: 1...2, using: &random) { mutation.apply(&random) }
            let said =
                isAccounts ? accountsRefusal(mutation.text) : refusal(mutation.text)
            guard said == nil else { continue }
            taken += 1
            // Taken: then every key is one of the schema.
            let document = try YAMLDocument(text: mutation.text, file: "m.yaml")
            let unknown = KeyWalk(document: document).unknown(in: shapes[isAccounts ? 1 : 0])
            #expect(unknown == [], "round \(round): \(mutation.text)")
        }
        // Were all refused, the loop would have shown nothing.
        #expect(taken > 100)
        #expect(taken < Self.count / 2)
    }

    /// Every key of every file in turn, so that none is left to chance.
    @Test func everyRenamedKeyIsAnUnknownKey() throws {
        var count = 0
        for (index, file) in (Self.files + [Self.accounts]).enumerated() {
            for key in Mutation(text: file).keys where !Self.chosenNames.contains(key.name) {
                for renamed in [key.name + "x", "x" + key.name, key.name.uppercased(), "_"] {
                    var mutation = Mutation(text: file)
                    mutation.rename(key, to: renamed)
                    let said =
                        index == Self.files.count
                        ? accountsRefusal(mutation.text) : refusal(mutation.text)
                    #expect(
                        said?.contains("unknown key '\(renamed)'") == true,
                        "\(key.name) → \(renamed): \(said ?? "taken")")
                    count += 1
                }
            }
        }
        #expect(count > 400)
    }

    /// Keys that the author of a file may call what he likes.
    private static let chosenNames: Set<String> = [
        "core", "signals", "OPSD_URL", "AAPL", "TSLA", "filed", "hot", "psql", "positions",
        "held_days", "seen", "account_id", "symbol", "days", "max_price", "price",
    ]
}

/// A text and what can befall it.
struct Mutation {
    var text: String

    struct Key {
        let name: String
        let range: Range<String.Index>
    }

    /// Words before a colon.
    var keys: [Key] {
        text.matches(of: /([A-Za-z_]+):(?: |\n|$)/).map {
            Key(name: String($0.1), range: $0.1.startIndex..<$0.1.endIndex)
        }
    }

    mutating func rename(_ key: Key, to name: String) {
        text.replaceSubrange(key.range, with: name)
    }

    mutating func apply(_ random: inout SeededGenerator) {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: flipByte(&random)
        case 1: changeLines(&random) { lines, index, _ in lines.remove(at: index) }
        case 2: changeLines(&random) { lines, index, _ in lines.insert(lines[index], at: index) }
        case 3: changeLines(&random) { lines, index, other in lines.swapAt(index, other) }
        case 4: changeLines(&random) { lines, index, _ in lines[index] = "  " + lines[index] }
        case 5:
            changeLines(&random) { lines, index, _ in
                lines[index] = String(lines[index].drop { $0 == " " })
            }
        case 6: swapValues(&random)
        default: renameKey(&random)
        }
    }

    private mutating func flipByte(_ random: inout SeededGenerator) {
        var bytes = Array(text.utf8)
        guard let index = bytes.indices.randomElement(using: &random) else { return }
        bytes[index] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &random)
        text = String(decoding: bytes, as: UTF8.self)
    }

    private mutating func changeLines(
        _ random: inout SeededGenerator,
        _ change: (inout [String], _ index: Int, _ other: Int) -> Void
    ) {
        var lines = text.components(separatedBy: "\n")
        guard let index = lines.indices.randomElement(using: &random),
            let other = lines.indices.randomElement(using: &random)
        else { return }
        change(&lines, index, other)
        text = lines.joined(separator: "\n")
    }

    /// A key gets the value that followed another.
    private mutating func swapValues(_ random: inout SeededGenerator) {
        let values = text.matches(of: /: ([A-Za-z0-9.%]+)/)
        guard let from = values.randomElement(using: &random),
            let to = values.randomElement(using: &random)
        else { return }
        let value = String(from.1)
        text.replaceSubrange(to.1.startIndex..<to.1.endIndex, with: value)
    }

    private mutating func renameKey(_ random: inout SeededGenerator) {
        guard let key = keys.randomElement(using: &random),
            let other = keys.randomElement(using: &random)
        else { return }
        let names = [key.name + "s", String(key.name.dropLast()), other.name, "nonsense"]
        rename(key, to: names.randomElement(using: &random) ?? "nonsense")
    }
}
