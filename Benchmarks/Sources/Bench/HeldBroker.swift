import Ledger
import Trading

/// A broker that opens accounts and never answers an order: what is measured is the accept alone.
struct HeldBroker: Broker {
    func balance(of account: String) async throws(BrokerError) -> BrokerBalance {
        BrokerBalance(cash: ExactDecimal(1_000_000_000_000))
    }
    func positions(of account: String) async throws(BrokerError) -> [BrokerPosition] { [] }
    func submit(
        _ terms: OrderTerms, clientOrderID: String, account: String
    ) async throws(BrokerError) -> BrokerOrder {
        try? await Task.sleep(for: .seconds(3_600))
        throw .unavailable("held")
    }
    func order(clientOrderID: String, account: String) async throws(BrokerError) -> BrokerOrder? {
        nil
    }
    func orders(
        of account: String, status: BrokerOrderFilter, submittedAfter: Timestamp?
    ) async throws(BrokerError) -> [BrokerOrder] { [] }
    func cancel(brokerOrderID: String, account: String) async throws(BrokerError) {}
    func fills(of account: String, from start: FillStart) async throws(BrokerError) -> [BrokerFill]
    { [] }
    func quotes(
        of symbols: [String], account: String
    ) async throws(BrokerError) -> [BrokerQuote] { [] }
}
