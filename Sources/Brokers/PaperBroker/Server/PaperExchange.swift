import Dispatch
import GRDB
import Ledger
import Synchronization

/// The shell around the engine: requests queue up, one transaction carries all that have come while
/// the last one was written, and nobody is answered before it is on disk.
///
/// `@unchecked Sendable`: the engine and the market belong to the serial queue `work`; callers touch
/// only the inbox, under its lock. The queue keeps blocking disk work off the cooperative pool.
final class PaperExchange: @unchecked Sendable {
    typealias Work<Value> = @Sendable (inout MatchingEngine, PaperLedger) throws -> Value

    private struct Inbox {
        var jobs: [Job] = []
        var isScheduled = false
    }

    /// One request: run inside a transaction, completed after it.
    private struct Job: Sendable {
        /// Returns the error for which the whole transaction must be given up.
        var run: @Sendable (inout MatchingEngine, PaperLedger) -> (any Error)?
        /// With the transaction's error, if it had one.
        var complete: @Sendable ((any Error)?) -> Void
    }

    private let configuration: PaperBrokerConfiguration
    private let store: PaperStore
    private let work = DispatchQueue(label: "paper-exchange")
    private var engine: MatchingEngine
    private var market: Market
    let bars: BarBook
    /// After a transaction failed, the engine in memory is ahead of the file until it is read again.
    private var isStale = false
    /// A lock and not an actor, because the queue that takes from it is not a task.
    private let inbox = Mutex(Inbox())
    private static let batchMax = 512

    init(configuration: PaperBrokerConfiguration, market: Market, now: Timestamp) throws {
        self.configuration = configuration
        self.market = market
        store = try PaperStore(path: configuration.dataFile)
        engine = try store.loadEngine(configuration)
        bars = BarBook(histories: market.histories, now: now)
        try store.database.write { database in
            try Self.advance(&engine, &self.market, bars, PaperLedger(database: database), now)
        }
    }

    /// Runs `body` in the next transaction; returns when that is on disk.
    func perform<Value: Sendable>(_ body: @escaping Work<Value>) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            enqueue(continuation, body)
        }
    }

    /// One step of the market.
    func advanceMarket(now: Timestamp) async throws {
        // The job runs on `work`, to which the market belongs.
        try await perform { [self] engine, ledger in
            try Self.advance(&engine, &market, bars, ledger, now)
        }
    }

    private static func advance(
        _ engine: inout MatchingEngine, _ market: inout Market, _ bars: BarBook,
        _ ledger: PaperLedger, _ now: Timestamp
    ) throws {
        let quotes = market.advance(now: now)
        bars.note(quotes)
        for quote in quotes {
            try ledger.write(engine.apply(quote, now: now), engine)
        }
    }

    private func enqueue<Value: Sendable>(
        _ continuation: CheckedContinuation<Value, any Error>, _ body: @escaping Work<Value>
    ) {
        let result = ResultBox<Value>()
        let job = Job(
            run: { engine, ledger in
                do {
                    result.value = .success(try body(&engine, ledger))
                    return nil
                } catch let refusal as PaperRefusal {
                    result.value = .failure(refusal)
                    return nil
                } catch {
                    return error
                }
            },
            complete: { error in
                if let error { return continuation.resume(throwing: error) }
                let notRun = PaperBrokerError(description: "the request was not run")
                continuation.resume(with: result.value ?? .failure(notRun))
            })
        let mustSchedule = inbox.withLock { inbox in
            inbox.jobs.append(job)
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        if mustSchedule { work.async { self.drain() } }
    }

    // MARK: On the queue

    private func drain() {
        while true {
            let jobs = inbox.withLock { inbox in
                let batch = Array(inbox.jobs.prefix(Self.batchMax))
                inbox.jobs.removeFirst(batch.count)
                if batch.isEmpty { inbox.isScheduled = false }
                return batch
            }
            guard !jobs.isEmpty else { return }
            commit(jobs)
        }
    }

    private func commit(_ jobs: [Job]) {
        do {
            if isStale { engine = try store.loadEngine(configuration, quotes: engine.quotes) }
            isStale = false
            try store.database.write { database in
                let ledger = PaperLedger(database: database)
                for job in jobs {
                    if let error = job.run(&engine, ledger) { throw error }
                }
            }
            for job in jobs { job.complete(nil) }
        } catch {
            isStale = true
            for job in jobs { job.complete(error) }
        }
    }
}

/// Carries a result from inside a transaction to after it.
///
/// `@unchecked Sendable`: written and read on the exchange's queue only.
private final class ResultBox<Value: Sendable>: @unchecked Sendable {
    var value: Result<Value, any Error>?
}
