import Control
import Foundation
import Ledger
import StrictYAML
import Trading
import TradingHTTP

/// What `opsd run` prints once everything is up: where it listens, a token, what to try next.
struct Welcome: Sendable {
    let configuration: Configuration
    let children: BuiltinChildren

    func greetWhenReady() async {
        while !Task.isCancelled {
            var isReady = true
            for name in children.names where await !children.isReady(name) { isReady = false }
            if isReady {
                await greet()
                break
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
        // A service of a group stays until the group goes.
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
    }

    private func greet() async {
        let trading = configuration.listen.trading
        let ops = configuration.listen.ops
        let base = "http://\(trading)"
        print(
            """

            opsd is up.
              trading     \(base)/api/v1
              operations  http://\(ops)  (/metrics, /healthz, /readyz)
              data        \(configuration.dataDirectory)
            """)
        if let (account, token) = await token() { suggest(base, account, token) }
        fflush(nil)
    }

    /// A token for the first account that takes orders: only on a desk that trades on paper.
    private func token() async -> (Account, String)? {
        let account = configuration.accounts.tradingAccounts.first {
            $0.status.acceptsOrders && $0.credentials.paperTrading
        }
        guard let account else { return nil }
        let authority = await TokenAuthority(secret: configuration.secrets.jwt)
        let token = try? await authority.issue(
            account: account, role: .trader, lifetimeSeconds: TokenAuthority.lifetimeSeconds,
            at: .now())
        return token.map { (account, $0) }
    }

    private func suggest(_ base: String, _ account: Account, _ token: String) {
        let symbol = configuration.paperBroker.symbols.first?.symbol ?? "AAPL"
        print(
            """

              token for \(account.id), valid for 24 h:
              TOKEN=\(token)

            Three commands to try in another terminal, after pasting the TOKEN line:
              curl -s -H "Authorization: Bearer $TOKEN" -d '{"account_id":"\(account.id)",\
            "symbol":"\(symbol)","side":"buy","type":"market","qty":"1","time_in_force":"day"}' \
            \(base)/api/v1/orders
              curl -s -H "Authorization: Bearer $TOKEN" \(base)/api/v1/positions
              \(CommandLine.arguments[0]) status -c \(configuration.path)
            """)
    }
}
