import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Trading

@Suite struct QuoteBoardTests {
    private let start = Timestamp(microseconds: 1_795_253_400_000_000)

    private func board(
        _ broker: QuoteBroker, _ clock: ManualTime, shared: SharedDouble? = nil,
        symbolsMax: Int = 10, quotesPerSecond: Int = 100, fetchesPerMinute: Int = 1_000
    ) -> QuoteBoard {
        QuoteBoard(
            broker: broker, account: "D", preloaded: [], shared: shared, timeToLiveSeconds: 30,
            symbolsMax: symbolsMax, quotesPerSecond: quotesPerSecond,
            fetchesPerMinute: fetchesPerMinute, now: { clock.now })
    }

    private func failure(_ board: QuoteBoard, _ symbol: String) async -> QuoteBoard.Failure? {
        do {
            _ = try await board.quote(symbol)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: ["", "nope", "A\u{0}B", "A B", "ÄÖ", String(repeating: "A", count: 33)])
    func whatIsNoSymbolNeverReachesTheBroker(_ symbol: String) async {
        let broker = QuoteBroker()
        let board = board(broker, ManualTime(start))
        #expect(await failure(board, symbol) == .unknownSymbol(symbol))
        #expect(broker.calls == 0)
    }

    @Test func anUnknownSymbolIsAskedForOnceInATimeToLive() async {
        let (broker, clock) = (QuoteBroker(), ManualTime(start))
        let board = board(broker, clock)
        for _ in 0..<50 { #expect(await failure(board, "NOPE") == .unknownSymbol("NOPE")) }
        #expect(broker.calls == 1)
        clock.advance(bySeconds: 30)
        #expect(await failure(board, "NOPE") == .unknownSymbol("NOPE"))
        #expect(broker.calls == 2)
    }

    @Test func aQuoteIsFetchedOnceInATimeToLive() async throws {
        let (broker, clock) = (QuoteBroker(), ManualTime(start))
        let board = board(broker, clock)
        for _ in 0..<50 { #expect(try await board.quote("AAPL").symbol == "AAPL") }
        #expect(broker.calls == 1)
        clock.advance(bySeconds: 30)
        _ = try await board.quote("AAPL")
        #expect(broker.calls == 2)
    }

    @Test func whoAsksForASymbolThatIsBeingFetchedWaitsForThatFetch() async {
        let broker = QuoteBroker(holds: true)
        let board = board(broker, ManualTime(start))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask { (try? await board.quote("AAPL"))?.symbol == "AAPL" }
            }
            await broker.gate.whenCalled()
            for _ in 0..<100 { await Task.yield() }
            broker.gate.release()
            for await came in group { #expect(came) }
        }
        #expect(broker.calls == 1)
    }

    @Test func aBrokerThatDoesNotAnswerIsNotAnUnknownSymbol() async {
        let broker = QuoteBroker()
        let board = board(broker, ManualTime(start))
        broker.isDown = true
        #expect(await failure(board, "AAPL") == .unavailable("AAPL"))
        broker.isDown = false
        #expect(await failure(board, "AAPL") == nil)
    }

    @Test func overTheDataAccountsLimitTheCallerIsToldWhenToComeBack() async throws {
        let (broker, clock) = (QuoteBroker(), ManualTime(start))
        let board = board(broker, clock, quotesPerSecond: 3)
        _ = try await board.quote("AAPL")
        for symbol in ["X1", "X2"] { #expect(await failure(board, symbol) != nil) }
        let exceeded = RequestLimits.Exceeded(limit: "quotes_per_second", retryAfterSeconds: 1)
        #expect(await failure(board, "X3") == .limited(exceeded))
        #expect(broker.calls == 3)
        #expect(try await board.quote("AAPL").symbol == "AAPL", "what is there costs nothing")
        clock.advance(bySeconds: 1)
        #expect(await failure(board, "X3") == .unknownSymbol("X3"))
    }

    /// Ever new symbols, as fast as they come.
    @Test func inventedSymbolsNeverUseUpTheBrokersOwnLimit() async {
        let (broker, clock) = (QuoteBroker(), ManualTime(start))
        let board = board(broker, clock, fetchesPerMinute: 100)
        for number in 0..<6_000 {
            _ = await failure(board, "X\(number)")
            if number % 100 == 99 { clock.advance(bySeconds: 1) }
        }
        #expect(broker.calls <= 200, "a full bucket, and a minute's refill")
    }

    // MARK: The shared cache

    private func quote(_ symbol: String, age: Int64) -> BrokerQuote {
        var quote = QuoteBroker.quote(symbol)
        quote.bidPrice = decimal("7")
        quote.timestamp = start.advanced(bySeconds: -age)
        return quote
    }

    @Test func whatTheSharedCacheHasIsShownAndSizesNoOrder() async throws {
        let (broker, shared) = (QuoteBroker(), SharedDouble())
        let board = board(broker, ManualTime(start), shared: shared)
        shared.quote = quote("AAPL", age: 29)
        #expect(try await board.shown("AAPL").bidPrice == decimal("7"))
        #expect(broker.calls == 0)
        #expect(try await board.quote("AAPL").bidPrice == decimal("1"), "the broker's own")
        #expect(broker.calls == 1)
        #expect(try await board.shown("AAPL").bidPrice == decimal("1"), "from memory from now on")
        #expect(await failure(board, "no pe") == .unknownSymbol("no pe"))
        #expect(shared.asked == 1)
    }

    @Test func whatIsTooOldByItsOwnTimeOrCannotBeIsNotBelieved() async throws {
        var poison = [quote("AAPL", age: 30), quote("AAPL", age: -6), quote("MSFT", age: 1)]
        poison.append(quote("AAPL", age: 1))
        poison[3].askPrice = decimal("-0.01")
        poison.append(quote("AAPL", age: 1))
        poison[4].volume = -1
        for quote in poison {
            let (broker, shared) = (QuoteBroker(), SharedDouble())
            shared.quote = quote
            let shown = try await board(broker, ManualTime(start), shared: shared).shown("AAPL")
            #expect(shown.bidPrice == decimal("1") && broker.calls == 1, "\(quote)")
        }
    }

    @Test func whatTheBrokerGivesGoesToTheSharedCacheAndWhatIsNewIsMarked() async throws {
        let (broker, clock, shared) = (QuoteBroker(), ManualTime(start), SharedDouble())
        let board = board(broker, clock, shared: shared)
        _ = try await board.quote("AAPL")
        _ = await failure(board, "NOPE")
        clock.advance(bySeconds: 30)
        _ = try await board.quote("AAPL")
        #expect(shared.quotesPut == [["AAPL"], ["AAPL"]])
        #expect(shared.changes == [["AAPL"], []])
    }

    @Test func aSymbolThatTheBrokerRefusesIsAskedForByItselfAndNotAgainAtOnce() async throws {
        let (broker, clock) = (QuoteBroker(), ManualTime(start))
        broker.refuses = ["BAD/USD"]
        let board = board(broker, clock)
        let running = Task {
            await board.run(every: .milliseconds(1)) { ["AAPL", "BAD/USD"] }
        }
        while broker.calls < 30 { await Task.yield() }
        running.cancel()
        await running.value
        #expect(broker.refusals == 1)
        let calls = broker.calls
        #expect(try await board.quote("AAPL").symbol == "AAPL")
        #expect(await failure(board, "BAD/USD") == .unknownSymbol("BAD/USD"))
        #expect(broker.calls == calls, "both are known")
    }

    @Test func whatIsHeldIsKeptFresh() {
        let settings = QuoteCache.Settings(
            timeToLiveSeconds: 30, symbolsMax: 2, quotesPerSecond: 1, fetchesPerMinute: 1)
        var cache = QuoteCache(settings: settings, preloaded: ["SPY"], at: start)
        #expect(cache.unseen(["AAPL", "NOPE", "no pe"], at: start).sorted() == ["AAPL", "NOPE"])
        cache.take([QuoteBroker.quote("AAPL")], asked: ["AAPL"], at: start)
        #expect(cache.unseen(["AAPL", "NOPE"], at: start) == [], "no more room")
        let later = start.advanced(bySeconds: 601)
        #expect(Set(cache.symbolsInUse(held: ["AAPL"], at: later)) == ["SPY", "AAPL"])
        let muchLater = later.advanced(bySeconds: 601)
        #expect(cache.symbolsInUse(at: muchLater) == ["SPY"])
    }

    @Test func whatIsKeptIsBounded() {
        let settings = QuoteCache.Settings(
            timeToLiveSeconds: 30, symbolsMax: 5, quotesPerSecond: 1, fetchesPerMinute: 1)
        var cache = QuoteCache(settings: settings, preloaded: ["SPY"], at: start)
        let symbols = (0..<1_000).map { "S\($0)" }
        for symbol in symbols {
            cache.take([], asked: [symbol], at: start)
            cache.take([QuoteBroker.quote("Q" + symbol)], asked: ["Q" + symbol], at: start)
        }
        let absent = symbols.filter {
            if case .unknownSymbol = cache.ask($0, at: start) { true } else { false }
        }
        #expect((1...5).contains(absent.count))
        #expect(cache.symbolsInUse(at: start).count == 5)
        let later = start.advanced(bySeconds: 601)
        #expect(cache.symbolsInUse(at: later) == ["SPY"])
        for symbol in symbols {
            if case .quote = cache.ask("Q" + symbol, at: start) {
                Issue.record("\(symbol) is kept")
            }
        }
    }
}

/// Time that a test moves. The lock is there because the board asks from any task.
final class ManualTime: Sendable {
    private let time: Mutex<Timestamp>

    init(_ start: Timestamp) {
        time = Mutex(start)
    }

    var now: Timestamp { time.withLock { $0 } }
    func advance(bySeconds seconds: Int64) {
        time.withLock { $0 = $0.advanced(bySeconds: seconds) }
    }
}

/// A broker that knows two symbols, counts, and can be held up. The lock guards what a test changes.
private final class QuoteBroker: MarketBroker {
    private struct Content {
        var calls = 0
        var isDown = false
        var refuses: Set<String> = []
        var refusals = 0
    }

    private let content = Mutex(Content())
    let gate: CallGate

    init(holds: Bool = false) {
        gate = CallGate(holds: holds)
    }

    var calls: Int { content.withLock { $0.calls } }
    var isDown: Bool {
        get { content.withLock { $0.isDown } }
        set { content.withLock { $0.isDown = newValue } }
    }

    /// Symbols for whose sake a whole call is refused.
    var refuses: Set<String> {
        get { content.withLock { $0.refuses } }
        set { content.withLock { $0.refuses = newValue } }
    }
    var refusals: Int { content.withLock { $0.refusals } }

    static func quote(_ symbol: String) -> BrokerQuote {
        BrokerQuote(
            symbol: symbol, bidPrice: decimal("1"), askPrice: decimal("1"), lastPrice: decimal("1"),
            volume: 1, timestamp: Timestamp(microseconds: 0))
    }

    func quotes(of symbols: [String], account: String) async throws(BrokerError) -> [BrokerQuote] {
        let (isDown, isRefused) = content.withLock { content in
            content.calls += 1
            let isRefused = !content.refuses.isDisjoint(with: symbols)
            if isRefused { content.refusals += 1 }
            return (content.isDown, isRefused)
        }
        if isRefused { throw .rejected(code: 400, message: "invalid symbol") }
        await gate.pass()
        if isDown { throw .unavailable("no route") }
        return symbols.filter { ["AAPL", "MSFT"].contains($0) }.map(Self.quote)
    }
}
