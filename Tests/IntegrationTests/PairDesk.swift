import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

/// Two databases that nobody journals, and a configuration that compares them.
struct PairDesk {
    let directory: TemporaryDirectory
    let server: PostgresServer
    let left: String
    let right: String

    /// - Parameter server: the test's own; nil: one that others use too.
    init(_ server: PostgresServer? = nil) async throws {
        directory = try TemporaryDirectory("pair")
        if let server {
            self.server = server
        } else {
            self.server = try await PostgresServer.shared()
        }
        left = try await self.server.makeDatabase()
        // Another order of texts, and another idea of which are the same.
        let other = "p" + UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "")
        try await self.server.psql(
            "postgres",
            "CREATE DATABASE \(other) TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'")
        right = other
        try """
        accounts:
          - account_id: "A"
            account_type: "trading"
            alpaca_credentials: {api_key: "key", secret_key: "secret"}
        """.write(toFile: directory.path("accounts.yaml"), atomically: true, encoding: .utf8)
    }

    func psqlLeft(_ sql: String) async throws { try await server.psql(left, sql) }
    func psqlRight(_ sql: String) async throws { try await server.psql(right, sql) }
    func psqlBoth(_ sql: String) async throws {
        try await psqlLeft(sql)
        try await psqlRight(sql)
    }

    struct Found: Equatable, CustomStringConvertible {
        var code: Int32
        /// Verdict and key, without the check's name.
        var lines: Set<String>
        var outcome: Desk.Outcome

        var description: String { "\(code) \(lines.sorted()) \(outcome)" }

        static func == (left: Found, right: Found) -> Bool {
            left.code == right.code && left.lines == right.lines
        }
    }

    /// Runs a check `pair`.
    /// - Parameters:
    ///   - check: what it says beside its name.
    ///   - sections: further ones, and further stores.
    func verify(
        _ check: String = "left: {store: one, table: rows}, right: {store: two, table: rows}",
        stores: String = "", sections: String = "", deadline: Int = 0, user: String? = nil
    ) async throws -> Found {
        let rightURL =
            user.map { server.url(right, user: $0, password: "x") } ?? server.url(right)
        try """
        accounts: [accounts.yaml]
        secrets: {jwt: "a secret of more than thirty-two bytes"}
        stores:
          one: {kind: postgres, url: "\(server.url(left))"}
          two: {kind: postgres, url: "\(rightURL)"}
        \(stores)
        \(sections)
        verify:
          - {name: pair, \(check)}
        """.write(toFile: directory.path("opsd.yaml"), atomically: true, encoding: .utf8)
        let outcome = try await Desk.command(
            [
                "verify", "pair", "--json", "--limit", "10000", "--deadline", "\(deadline)", "-c",
                directory.path("opsd.yaml"),
            ], in: directory, within: .seconds(120))
        let lines = outcome.documents.compactMap { document -> String? in
            guard let verdict = document?["verdict"]?.text else { return nil }
            let key = document?["key"]?.text?.replacing("pair/", with: "") ?? "-"
            return "\(verdict) \(key)"
        }
        #expect(Set(lines).count == lines.count, "nothing twice: \(outcome)")
        return Found(code: outcome.code, lines: Set(lines), outcome: outcome)
    }
}
