import Foundation
import Ledger
import Trading

/// The cost of a decision alone, without thread, disk or answer.
func probeDecide() throws {
    let rules = (0..<64).map { AccountRules(accountID: "ACC_\($0)", maxConcurrentOrders: .max) }
    var state = TradingState(
        rules: rules, digestKey: SipHashKey(low: 1, high: 2),
        sequence: SequenceNumber(epoch: 1, number: 0))
    let now = Timestamp.now()
    for rule in rules {
        try state.open(
            rule.accountID,
            AccountSnapshot(
                balance: BrokerBalance(cash: ExactDecimal(1_000_000_000_000)), positions: [],
                openOrders: [], fillCursor: nil), at: now)
    }
    _ = state.commit()
    let requests = (0..<64).map { AcceptBench.request("ACC_\($0)") }
    let rounds = 4_000
    let start = ContinuousClock.now
    for _ in 0..<rounds {
        for request in requests { _ = try state.place(request, at: now, by: request.accountID) }
        _ = state.commit()
    }
    let seconds = (ContinuousClock.now - start).seconds
    print("decide µs", seconds / Double(rounds * 64) * 1e6)
}
