import Ledger
import TestSupport
import Testing

@testable import Trading

/// What positions and accounts are worth, as other programs read it.
@Suite struct ValuationTests {
    private func fill(
        _ fixture: inout StateFixture, _ side: OrderSide, _ quantity: String, at price: String
    ) throws {
        let limitPrice = side == .buy ? "1000" : "1"
        let order = try fixture.placeAtBroker(limit(side, quantity, at: limitPrice))
        let fill = StateFixture.fill(
            order, "f-\(order.orderID)", quantity: quantity, price: price, cumulative: quantity)
        #expect(try fixture.state.apply([fill], of: "A", at: fixture.clock) == .done)
        fixture.commit()
    }

    private func field(_ name: String, _ row: Row?, _ schema: Schema) -> Value? {
        guard let index = schema.index(of: name) else { return nil }
        return row?.values[index]
    }

    @Test func aPositionIsWorthItsLastFillsPrice() throws {
        var fixture = try StateFixture.opened(cash: "10000")
        try fill(&fixture, .buy, "10", at: "100")
        try fill(&fixture, .buy, "5", at: "110.5")
        let held = try #require(fixture.position("AAPL"))
        #expect(held.side == .long)
        #expect(held.marketValue == decimal("1657.5"))
        #expect(held.unrealizedProfit == decimal("105"))
        let balance = try #require(fixture.state.balances["A"]?.value)
        #expect(balance.cash == decimal("8447.5"))
        #expect(balance.portfolioValue == decimal("10105"))
        // The very words under which the documents' readers look.
        let row = fixture.rows[held.row.key(in: Datasets.positions)]
        #expect(field("side", row, Datasets.positions) == .text("long"))
        #expect(field("market_value", row, Datasets.positions) == .decimal(decimal("1657.5")))
        #expect(field("unrealized_pl", row, Datasets.positions) == .decimal(decimal("105")))

        let open = try fixture.place(limit(.buy, "2", at: "50"))
        let frozen = try #require(fixture.state.balances["A"]?.value)
        #expect(frozen.buyingPower == decimal("8347.5"))
        #expect(frozen.portfolioValue == decimal("10105"), "money set aside is still there")
        _ = try fixture.state.cancel(open.orderID, isWithdrawn: true, at: fixture.clock, by: "x")
        #expect(fixture.state.balances["A"]?.value.buyingPower == decimal("8447.5"))

        try fill(&fixture, .sell, "15", at: "90")
        let gone = try #require(fixture.position("AAPL"))
        #expect((gone.side, gone.marketValue, gone.unrealizedProfit) == (.flat, .zero, .zero))
        let end = try #require(fixture.state.balances["A"]?.value)
        #expect(end.portfolioValue == end.cash)
        #expect(end.cash == decimal("9797.5"))
        let sold = fixture.rows[end.row.key(in: Datasets.balances)]
        #expect(field("portfolio_value", sold, Datasets.balances) == .decimal(decimal("9797.5")))
        #expect(field("buying_power", sold, Datasets.balances) == .decimal(decimal("9797.5")))
    }

    @Test func anOpeningTakesTheBrokersWordElseTheCost() throws {
        let fixture = try StateFixture.opened(
            cash: "100",
            positions: [
                BrokerPosition(
                    symbol: "AAPL", quantity: decimal("2"), averageEntryPrice: decimal("10"),
                    marketValue: decimal("25")),
                BrokerPosition(
                    symbol: "MSFT", quantity: decimal("3"), averageEntryPrice: decimal("10")),
                BrokerPosition(
                    symbol: "X", quantity: decimal("-1"), averageEntryPrice: decimal("5"),
                    marketValue: decimal("-7")),
            ])
        #expect(fixture.position("AAPL")?.marketValue == decimal("25"))
        #expect(fixture.position("AAPL")?.unrealizedProfit == decimal("5"))
        #expect(fixture.position("MSFT")?.marketValue == decimal("30"))
        #expect(fixture.position("MSFT")?.unrealizedProfit == .zero)
        #expect(fixture.position("X")?.side == .short)
        #expect(fixture.position("X")?.unrealizedProfit == decimal("-2"))
        #expect(fixture.state.balances["A"]?.value.portfolioValue == decimal("148"))
    }

    /// 0.123456789 shares at a price of ten digits after the point have nineteen.
    @Test func aFillIsNotRefusedForTheDigitsOfWhatItMakesAPositionWorth() throws {
        var fixture = try StateFixture.opened(
            cash: "10000",
            positions: [
                BrokerPosition(
                    symbol: "AAPL", quantity: decimal("0.123456789"),
                    averageEntryPrice: decimal("100"))
            ])
        try fill(&fixture, .buy, "1", at: "100.0000000001")
        let held = try #require(fixture.position("AAPL"))
        #expect(held.quantity == decimal("1.123456789"))
        #expect(held.marketValue == decimal("112.3456789"))
        #expect(held.unrealizedProfit == decimal("-0.0000000001"))
    }

    @Test func whatNoDecimalHoldsIsRefusedWithoutATrace() throws {
        var fixture = try StateFixture.opened(
            cash: "10000",
            positions: [
                BrokerPosition(
                    symbol: "AAPL", quantity: decimal("1e20"), averageEntryPrice: decimal("1"))
            ])
        let order = try fixture.placeAtBroker(limit(.buy, "1", at: "1000"))
        fixture.commit()
        let before = fixture.essence
        let fill = StateFixture.fill(
            order, "f", quantity: "1", price: "0.000000000000000001", cumulative: "1")
        #expect(throws: Refusal.self) {
            let mark = fixture.state.mark
            defer { fixture.state.rollback(to: mark) }
            _ = try fixture.state.apply(
                [
                    BrokerFill(
                        id: fill.id, brokerOrderID: fill.brokerOrderID, symbol: fill.symbol,
                        side: fill.side, quantity: fill.quantity, price: decimal("1e19"),
                        cumulativeQuantity: fill.cumulativeQuantity, time: fill.time)
                ], of: "A", at: fixture.clock)
        }
        #expect(fixture.essence == before)
    }
}
