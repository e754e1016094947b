internal import Foundation
public import Ledger
internal import Logging
internal import Metrics

/// The one writer: a thread that drains a queue of decisions in batches, journals what they decided
/// with one flush, and only then answers.
///
///     validate and decide → journal → publish → answer
///
/// A decision is a function of the state and the time. When the disk is full the whole batch is
/// taken back and refused, but for what operators do, which is written into the journal's reserve;
/// when the journal fails in a way that leaves its outcome unknown, the engine stops for good: a
/// restart reads what is durable.
public final class Engine: Sendable {
    public struct Options: Sendable {
        /// Most decisions that may wait; also most orders that may wait for a worker.
        public var queueCapacity = 10_000
        /// Most decisions that share one flush.
        public var batchMax = 512

        public init() {}
    }

    public let published: PublishedState
    public let orders: OrderQueue
    private let inbox: Inbox
    private let capacity: Int

    /// Starts the writer thread over a state that has been recovered.
    /// - Parameter openJournal: called on the writer thread, which then owns the journal.
    public static func start(
        state: TradingState, options: Options = Options(), checkpoint: Checkpoint,
        feed: JournalFeed,
        openJournal: @escaping @Sendable () throws(JournalError) -> any Journal,
        effects: @escaping @Sendable ([Effect]) -> Void
    ) -> Engine {
        let engine = Engine(options: options, published: PublishedState(state))
        let writer = EngineWriter(
            state: state, batchMax: options.batchMax, inbox: engine.inbox,
            published: engine.published, orders: engine.orders, checkpoint: checkpoint,
            feed: feed, effects: effects)
        let thread = Thread {
            writer.run(openJournal)
        }
        thread.name = "engine"
        thread.stackSize = 4 << 20
        thread.start()
        return engine
    }

    private init(options: Options, published: PublishedState) {
        self.published = published
        capacity = options.queueCapacity
        inbox = Inbox()
        orders = OrderQueue(capacity: options.queueCapacity)
    }

    /// Has a decision made and journaled. Returns when it is durable.
    public func perform<Result: Sendable>(
        _ decide: @escaping @Sendable (inout TradingState, Timestamp) throws(Refusal) -> Result
    ) async throws(EngineError) -> Result {
        try await perform(isControl: false, decide)
    }

    /// As `perform`, for what an operator does to keep the desk safe: on a full disk it is written
    /// into the journal's reserve.
    public func performControl<Result: Sendable>(
        _ decide: @escaping @Sendable (inout TradingState, Timestamp) throws(Refusal) -> Result
    ) async throws(EngineError) -> Result {
        try await perform(isControl: true, decide)
    }

    private func perform<Result: Sendable>(
        isControl: Bool,
        _ decide: @escaping @Sendable (inout TradingState, Timestamp) throws(Refusal) -> Result
    ) async throws(EngineError) -> Result {
        let outcome = await withCheckedContinuation { continuation in
            let job = Decision(
                isControl: isControl, decide: decide, continuation: continuation)
            guard inbox.add(job) else {
                continuation.resume(returning: .failure(EngineError.stopped))
                return
            }
        }
        return try outcome.get()
    }

    /// As `perform`, for what a client asks: refused at once when too much is waiting.
    public func performBounded<Result: Sendable>(
        _ decide: @escaping @Sendable (inout TradingState, Timestamp) throws(Refusal) -> Result
    ) async throws(EngineError) -> Result {
        guard inbox.count < capacity, orders.count < capacity else {
            throw .refused(.queueFull(capacity: capacity))
        }
        return try await perform(decide)
    }

    public var waitingDecisions: Int { inbox.count }
    /// The disk is full: nothing but what operators do is journaled.
    public var isJournalFull: Bool { published.isJournalFull }

    /// Lets what is waiting finish, then stops the thread. Returns when it has stopped.
    public func stop() async {
        await withCheckedContinuation { inbox.close(whenStopped: $0) }
    }

    /// Returns when the engine has stopped by itself, with the reason; never before.
    public func failure() async -> JournalError? {
        await withCheckedContinuation { inbox.whenFailed($0) }
    }
}

public enum EngineError: Error, Sendable, Equatable {
    /// Nothing changed.
    case refused(Refusal)
    /// The journal could not be written and nothing changed. Retrying helps once there is room.
    case journalFull(String)
    /// The engine stopped while the decision was on its way: whether it is durable is unknown.
    case unknown(String)
    /// The engine is not running: nothing changed.
    case stopped
}

extension EngineError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .refused(let refusal): refusal.description
        case .journalFull(let problem): problem
        case .unknown(let problem): "outcome unknown: \(problem)"
        case .stopped: "the core is stopping"
        }
    }
}

// MARK: - Decisions on their way

/// A decision without its result type.
protocol WaitingDecision: AnyObject {
    /// It may use the journal's reserve.
    var isControl: Bool { get }
    func decide(_ state: inout TradingState, at now: Timestamp)
    /// The batch is durable.
    func succeed()
    func fail(_ error: EngineError)
}

private final class Decision<Result: Sendable>: WaitingDecision {
    let isControl: Bool
    private let body: @Sendable (inout TradingState, Timestamp) throws(Refusal) -> Result
    private let continuation: CheckedContinuation<Swift.Result<Result, EngineError>, Never>
    private var outcome: Swift.Result<Result, EngineError> = .failure(.stopped)

    init(
        isControl: Bool,
        decide: @escaping @Sendable (inout TradingState, Timestamp) throws(Refusal) -> Result,
        continuation: CheckedContinuation<Swift.Result<Result, EngineError>, Never>
    ) {
        self.isControl = isControl
        body = decide
        self.continuation = continuation
    }

    func decide(_ state: inout TradingState, at now: Timestamp) {
        let mark = state.mark
        do {
            outcome = .success(try body(&state, now))
        } catch {
            state.rollback(to: mark)
            outcome = .failure(.refused(error))
        }
    }

    func succeed() {
        continuation.resume(returning: outcome)
    }

    func fail(_ error: EngineError) {
        // What was refused changed nothing, whatever became of the batch.
        if case .failure(.refused) = outcome {
            continuation.resume(returning: outcome)
        } else {
            continuation.resume(returning: .failure(error))
        }
    }
}
