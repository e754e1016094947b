import ArgumentParser
import Foundation
import Ledger
import StrictYAML
import Trading

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Makes a token for the trading API.",
        discussion: "Example: opsd token --account TRADE_001 --role trader --ttl 8h")

    @Option(help: "The account that the token is for.") var account: String
    @Option(help: "admin, trader, researcher or viewer.") var role: String
    @Option(help: "How long it is valid: 30m, 24h, 7d.") var ttl = "24h"
    @OptionGroup var options: CommonOptions

    private static let lifetimeSecondsMax: Int64 = 366 * 86_400

    func run() async throws {
        let configuration = try options.loadConfiguration()
        try AccountSelection(id: account).check(configuration)
        guard let found = configuration.accounts[account] else { return }
        guard let role = TokenRole(rawValue: role) else {
            let known = TokenRole.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure(.badInput, "--role: '\(role)' is none of \(known)")
        }
        let seconds = try lifetimeSeconds()
        let now = Timestamp.now()
        let authority = await TokenAuthority(secret: configuration.secrets.jwt)
        let token = try await authority.issue(
            account: found, role: role, lifetimeSeconds: seconds, at: now)
        options.show(token) { json in
            json.member("token", token)
            json.member("account_id", found.id)
            json.member("role", role.rawValue)
            json.member("expires_at", now.advanced(bySeconds: seconds))
        }
    }

    private func lifetimeSeconds() throws(CommandFailure) -> Int64 {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let unit = ttl.last.flatMap({ units[$0] }), let count = Int64(ttl.dropLast()),
            count > 0, count <= Self.lifetimeSecondsMax / unit
        else {
            throw CommandFailure(.badInput, "--ttl: '\(ttl)' is no time; write 30m, 24h or 7d")
        }
        return count * unit
    }
}
