/// A cache of market data that other programs read too, and that outlives the core.
///
/// It never keeps anybody waiting for long, and one that fails has nothing. What it says is shown to
/// clients; it never decides an order.
public protocol MarketCache: Sendable {
    /// Nil when there is none that reads. Whether it is too old is the caller's to say.
    func quote(_ symbol: String) async -> BrokerQuote?
    /// The newest bars.
    func bars(_ symbol: String, _ timeframe: Timeframe) async -> BarWindow?

    /// Returns at once; what comes next counts when this could not be written yet.
    /// - Parameter changed: the symbols whose quote is another than before.
    func put(_ quotes: [BrokerQuote], changed: Set<String>)
    func put(_ window: BarWindow, _ symbol: String, _ timeframe: Timeframe)
}
