import Ledger
import Synchronization
import TestSupport
import Testing

@testable import Trading

@Suite struct BarBoardTests {
    /// The start of a minute, of an hour and of no day.
    private let start = Timestamp("2026-11-20T15:00:00Z") ?? Timestamp(microseconds: 0)

    private func board(
        _ broker: BarBroker, _ clock: ManualTime, shared: SharedDouble? = nil,
        _ change: (inout BarBoard.Settings) -> Void = { _ in }
    ) -> BarBoard {
        var settings = BarBoard.Settings()
        change(&settings)
        return BarBoard(
            broker: broker, account: "D", shared: shared, settings: settings, now: { clock.now })
    }

    private func request(
        _ timeframe: Timeframe = .minute, minutesAgo first: Int64, until last: Int64,
        _ symbol: String = "AAPL"
    ) -> BarRequest {
        BarRequest(
            symbol: symbol, timeframe: timeframe, from: start.advanced(bySeconds: -first * 60),
            before: start.advanced(bySeconds: -last * 60))
    }

    private func failure(_ board: BarBoard, _ request: BarRequest) async -> BarBoard.Failure? {
        do {
            _ = try await board.bars(request)
            return nil
        } catch {
            return error
        }
    }

    @Test func theWordsOfTimeframesAreThoseOfTheBrokerAndShortOnes() {
        let words = ["1Min", "5m", "15min", "1Hour", "60m", "1h", "1d", "1Day"]
        #expect(
            words.map(Timeframe.init(word:)) == [
                .minute, .fiveMinutes, .quarterHour, .hour, .hour, .hour, .day, .day,
            ])
        for word in ["1M", "2Min", "", "Day", "1min ", "1Month"] {
            #expect(Timeframe(word: word) == nil)
        }
        let odd = Timestamp("2026-11-20T15:07:31.5Z") ?? start
        #expect(
            Timeframe.allCases.map { $0.start(of: odd).description } == [
                "2026-11-20T15:07:00Z", "2026-11-20T15:05:00Z", "2026-11-20T15:00:00Z",
                "2026-11-20T15:00:00Z", "2026-11-20T00:00:00Z",
            ])
        let before = Timestamp(microseconds: -1)
        #expect(Timeframe.day.start(of: before).description == "1969-12-31T00:00:00Z")
    }

    @Test func barsThatHaveEndedAreFetchedOnce() async throws {
        let (broker, clock) = (BarBroker(), ManualTime(start))
        let board = board(broker, clock)
        let hour = request(minutesAgo: 60, until: 0)
        #expect(try await board.bars(hour).count == 60)
        clock.advance(bySeconds: 200)
        #expect(try await board.bars(hour).count == 60)
        let part = try await board.bars(request(minutesAgo: 30, until: 20))
        #expect(part.map(\.timestamp) == (21...30).reversed().map(minutesAgo))
        #expect(broker.calls == 1, "a part of what is known is known")
        clock.advance(bySeconds: 100)
        _ = try await board.bars(hour)
        #expect(broker.calls == 2, "the time to live is over")
    }

    private func minutesAgo(_ count: Int64) -> Timestamp { start.advanced(bySeconds: -count * 60) }

    @Test func aBarThatGrowsIsMissedForATwelfthOfItsTime() async throws {
        let (broker, clock) = (BarBroker(), ManualTime(start.advanced(bySeconds: 10)))
        let board = board(broker, clock)
        let present = request(.fiveMinutes, minutesAgo: 60, until: -60)
        #expect(try await board.bars(present).last?.timestamp == start)
        clock.advance(bySeconds: 24)
        #expect(try await board.bars(present).last?.timestamp == start)
        #expect(broker.calls == 1)
        clock.advance(bySeconds: 1)
        _ = try await board.bars(present)
        #expect(broker.calls == 2)
    }

    @Test func allWhoAskAtOnceWaitForOneFetch() async {
        let (broker, clock) = (BarBroker(holds: true), ManualTime(start))
        let board = board(broker, clock)
        let wanted = request(minutesAgo: 60, until: 0)
        await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<20 { group.addTask { try? await board.bars(wanted).count } }
            await broker.gate.whenCalled()
            for _ in 0..<100 { await Task.yield() }
            broker.gate.release()
            for await count in group { #expect(count == 60) }
        }
        #expect(broker.calls == 1)
    }

    @Test func pagesAreReadToTheirEnd() async throws {
        let broker = BarBroker(pageSize: 7)
        let bars = try await board(broker, ManualTime(start))
            .bars(request(minutesAgo: 60, until: 0))
        #expect(bars.map(\.timestamp) == (1...60).reversed().map(minutesAgo))
        #expect(broker.calls == 9)
        let endless = board(BarBroker(pageSize: 1), ManualTime(start))
        #expect(await failure(endless, request(minutesAgo: 60, until: 0)) == .unavailable("AAPL"))
    }

    @Test func whyThereAreNoneIsSaid() async {
        let (broker, clock) = (BarBroker(), ManualTime(start))
        let board = board(broker, clock) { $0.barsPerMinute = 2 }
        let wanted = request(minutesAgo: 60, until: 0)
        #expect(
            await failure(board, request(minutesAgo: 9, until: 0, "no pe"))
                == .unknownSymbol("no pe"))
        #expect(broker.calls == 0)
        broker.error = .unavailable("no route")
        #expect(await failure(board, wanted) == .unavailable("AAPL"))
        broker.error = .rejected(code: 1, message: "not yours")
        #expect(await failure(board, wanted) == .refused("not yours"))
        broker.error = nil
        let exceeded = RequestLimits.Exceeded(limit: "bars_per_minute", retryAfterSeconds: 30)
        #expect(await failure(board, wanted) == .limited(exceeded))
        #expect(broker.calls == 2)
        clock.advance(bySeconds: 30)
        #expect(await failure(board, wanted) == nil)
        #expect(await failure(board, request(minutesAgo: 9, until: 20)) == nil, "an empty range")
    }

    @Test func whatIsInMemoryIsBounded() {
        var cache = BarCache(timeToLiveSeconds: 300, barsMax: 100)
        let bar = BarBroker.bar(start, volume: 1)
        for number in 0..<500 {
            let wanted = request(minutesAgo: 1, until: 0, "S\(number)")
            cache.take(
                BarWindow(
                    from: wanted.from, before: wanted.before,
                    fetchedAt: start.advanced(bySeconds: Int64(number)),
                    bars: Array(repeating: bar, count: number % 20)), for: wanted)
            #expect(cache.count <= 100)
        }
        let last = request(minutesAgo: 1, until: 0, "S499")
        #expect(cache.bars(last, at: start.advanced(bySeconds: 499)) != nil, "the newest stay")
    }

    // MARK: The shared cache

    @Test func theSharedCacheIsAskedBeforeTheBrokerAndFilledBehindIt() async throws {
        let (broker, clock, shared) = (BarBroker(), ManualTime(start), SharedDouble())
        let present = request(minutesAgo: 60, until: -60)
        _ = try await board(broker, clock, shared: shared).bars(present)
        #expect(broker.calls == 1)
        let kept = try #require(shared.window)
        #expect(kept.bars.count == 61 && kept.fetchedAt == start)
        // The next start of the core.
        let next = board(broker, clock, shared: shared)
        clock.advance(bySeconds: 4)
        #expect(try await next.bars(present).count == 61)
        #expect(broker.calls == 1)
        shared.window = nil
        #expect(try await next.bars(present).count == 61, "now it is in memory")
        _ = try await next.bars(request(minutesAgo: 600, until: 300))
        #expect(broker.calls == 2 && shared.window == nil, "the past is no news for others")
    }

    @Test func whatNobodyCouldHaveQuotedIsNotBelieved() async throws {
        let good = BarWindow(
            from: start.advanced(bySeconds: -60), before: start.advanced(bySeconds: 60),
            fetchedAt: start, bars: [BarBroker.bar(start.advanced(bySeconds: -60), volume: 1)])
        let wanted = request(minutesAgo: 1, until: 0)
        var poison: [BarWindow] = []
        func add(_ change: (inout BarWindow) -> Void) {
            var window = good
            change(&window)
            poison.append(window)
        }
        add { $0.fetchedAt = start.advanced(bySeconds: -301) }
        add { $0.fetchedAt = start.advanced(bySeconds: 60) }
        add { $0.from = start }
        add { $0.bars[0].low = decimal("3") }
        add { $0.bars[0].low = decimal("-1") }
        add { $0.bars[0].volume = -1 }
        add { $0.bars += $0.bars }
        add { $0.bars[0].timestamp = start.advanced(bySeconds: 600) }
        for window in poison {
            let (broker, shared) = (BarBroker(), SharedDouble())
            shared.window = window
            let bars = try await board(broker, ManualTime(start), shared: shared).bars(wanted)
            #expect(bars.map(\.volume) == [60] && broker.calls == 1, "\(window)")
        }
        let (broker, shared) = (BarBroker(), SharedDouble())
        shared.window = good
        let bars = try await board(broker, ManualTime(start), shared: shared).bars(wanted)
        #expect(bars.map(\.volume) == [1] && broker.calls == 0)
    }
}

/// A shared cache in memory. The lock guards what a test and a board change.
final class SharedDouble: MarketCache {
    private struct Content {
        var quote: BrokerQuote?
        var window: BarWindow?
        var put: [(quotes: [BrokerQuote], changed: Set<String>)] = []
        var asked = 0
    }

    private let content = Mutex(Content())

    var quote: BrokerQuote? {
        get { content.withLock { $0.quote } }
        set { content.withLock { $0.quote = newValue } }
    }
    var window: BarWindow? {
        get { content.withLock { $0.window } }
        set { content.withLock { $0.window = newValue } }
    }
    var changes: [Set<String>] { content.withLock { $0.put.map(\.changed) } }
    var quotesPut: [[String]] { content.withLock { $0.put.map { $0.quotes.map(\.symbol) } } }
    var asked: Int { content.withLock { $0.asked } }

    func quote(_ symbol: String) async -> BrokerQuote? {
        content.withLock { content in
            content.asked += 1
            return content.quote
        }
    }
    func bars(_ symbol: String, _ timeframe: Timeframe) async -> BarWindow? { window }
    func put(_ quotes: [BrokerQuote], changed: Set<String>) {
        content.withLock { $0.put.append((quotes, changed)) }
    }
    func put(_ window: BarWindow, _ symbol: String, _ timeframe: Timeframe) {
        self.window = window
    }
}

/// A broker that has every bar that is asked for, counts, and can be held up. The lock guards what a
/// test changes.
private final class BarBroker: MarketBroker {
    private struct Content {
        var calls = 0
        var error: BrokerError?
    }

    private let content = Mutex(Content())
    private let pageSize: Int
    let gate: CallGate

    init(holds: Bool = false, pageSize: Int = 10_000) {
        self.pageSize = pageSize
        gate = CallGate(holds: holds)
    }

    var calls: Int { content.withLock { $0.calls } }
    var error: BrokerError? {
        get { content.withLock { $0.error } }
        set { content.withLock { $0.error = newValue } }
    }

    static func bar(_ time: Timestamp, volume: Int) -> Bar {
        Bar(
            timestamp: time, open: decimal("1"), high: decimal("2.5"), low: decimal("0.5"),
            close: decimal("2"), volume: volume)
    }

    func bars(
        _ request: BarRequest, limit: Int, page: String?, account: String
    ) async throws(BrokerError) -> BarPage {
        let error = content.withLock { content in
            content.calls += 1
            return content.error
        }
        await gate.pass()
        if let error { throw error }
        let length = request.timeframe.seconds
        var bars: [Bar] = []
        var time = page.flatMap { Timestamp($0) } ?? request.from
        while time < request.before {
            if bars.count == pageSize { return BarPage(bars: bars, next: time.description) }
            bars.append(Self.bar(time, volume: Int(length)))
            time = time.advanced(bySeconds: length)
        }
        return BarPage(bars: bars)
    }
}
