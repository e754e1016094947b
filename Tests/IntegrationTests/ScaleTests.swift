import CurlClient
import ExactJSON
import Foundation
import Testing

extension RealProcesses {
    @Suite(.serialized) struct ScaleTests {
        @Test(.timeLimit(.minutes(3)))
        func aThousandAccountsStartAndTrade() async throws {
            try await Desk.run(DeskSettings(accounts: 1_000), starts: false) { desk in
                let start = ContinuousClock.now
                try await desk.start()
                try await desk.waitUntilReady(within: .seconds(60))
                try await eventually("every account is open", within: .seconds(60)) {
                    let status = try await desk.get("\(desk.opsURL)/api/ops/status")
                    return status.data?["core"]?["accounts_not_open"]?.elements?.isEmpty == true
                }
                for account in ["TRADE_001", "TRADE_500", "TRADE_1000"] {
                    let token = try await desk.token(account)
                    let answer = try await desk.api(
                        .post, "/orders", token, body: OrderText(account: account).body)
                    #expect(answer.status == 202, "\(answer.text)")
                    try await eventually("\(account) has traded") {
                        try await desk.all("/orders?status=filled", token).count == 1
                    }
                }
                #expect(ContinuousClock.now - start < .seconds(60))
            }
        }
    }
}
