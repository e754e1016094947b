public import Ledger
internal import Logging
internal import Metrics
internal import Synchronization

/// The trading core, put together: engine, checkpoint, execution, quotes.
///
/// `start` recovers and begins to take orders; `run` does the work around them until it is
/// cancelled, and then lets what is under way become durable.
public final class TradingCore: Sendable {
    public struct Options: Sendable {
        public var engine = Engine.Options()
        public var journal = SQLiteJournal.Options()
        public var timing = ExecutionTiming()
        /// Changes of rows that stay in memory for those who follow the journal.
        public var feedRows = 1_000
        /// Tasks that carry orders to the broker. Each has up to `callsPerWorker` calls under way.
        public var workers = 20
        public var callsPerWorker = 16
        /// The datasets that the configuration declares.
        public var declared: [Schema] = []
        /// Most rows, and most bytes of rows, that they may have together.
        public var declaredRowsMax = 1_000_000
        public var declaredBytesMax = 1 << 30

        public init() {}
    }

    public let engine: Engine
    public let history: OrderHistory
    /// For the rows of declared datasets.
    public let data: DataHistory
    public let checkpoint: Checkpoint
    /// The datasets that the configuration declares.
    public let declared: SchemaCatalogue
    /// The journal, for those who keep copies.
    public let feed: JournalFeed
    /// The journal's name, by which a store knows what it is a copy of.
    public let journalIdentity: String
    private let rules: [AccountRules]
    private let broker: any Broker
    private let options: Options
    /// Orders that the last process may have had under way. Those accepted since are in the queue.
    private let unconfirmed: [String]
    private let effects: AsyncStream<[Effect]>
    private let effectsSource: AsyncStream<[Effect]>.Continuation
    private let logger = Logger(label: "core")

    public enum StartFailure: Error, Sendable, CustomStringConvertible {
        case journal(JournalError)
        case recovery(Recovery.Failure)

        public var description: String {
            switch self {
            case .journal(let error): error.description
            case .recovery(let error): error.description
            }
        }
    }

    /// - Parameter journalDirectory: made when it is not there.
    public static func start(
        rules: [AccountRules], journalDirectory: String, store: any RowStore,
        broker: any Broker, options: Options = Options()
    ) async throws(StartFailure) -> TradingCore {
        let handOver: JournalHandOver
        let reader: JournalReader
        // A store that does not answer must not make a new journal begin in an epoch that was used.
        let stored: SequenceNumber
        do {
            stored = try await store.appliedSequence()
        } catch {
            throw .recovery(.store(error))
        }
        do {
            guard try stored == .none || JournalReader.isPresent(in: journalDirectory) else {
                throw StartFailure.recovery(.storeAhead(store: stored, journal: .none))
            }
            handOver = JournalHandOver(
                try SQLiteJournal(
                    directory: journalDirectory, options: options.journal,
                    epochAbove: stored.epoch))
            reader = try JournalReader(directory: journalDirectory)
        } catch let failure as StartFailure {
            throw failure
        } catch let error as JournalError {
            throw .journal(error)
        } catch {
            throw .journal(.inputOutput(path: journalDirectory, problem: "\(error)"))
        }
        let recovered: Recovery.Outcome
        do {
            recovered = try await Recovery.run(
                rules: rules, journal: reader, store: store,
                declared: DeclaredRows(
                    options.declared, countMax: options.declaredRowsMax,
                    bytesMax: options.declaredBytesMax))
        } catch {
            throw .recovery(error)
        }
        return TradingCore(
            rules: rules, recovered: recovered, journalDirectory: journalDirectory,
            handOver: handOver, store: store, broker: broker, options: options)
    }

    private init(
        rules: [AccountRules], recovered: Recovery.Outcome, journalDirectory: String,
        handOver: JournalHandOver, store: any RowStore, broker: any Broker, options: Options
    ) {
        let (stream, source) = AsyncStream<[Effect]>.makeStream()
        let counters = OutcomeCounters()
        feed = JournalFeed(
            directory: journalDirectory, head: recovered.state.lastSequence,
            rowsMax: options.feedRows,
            schemas: SchemaCatalogue(
                Datasets.catalogue.schemas + recovered.state.declared.catalogue.schemas))
        journalIdentity = recovered.state.digestKey.journalIdentity
        engine = Engine.start(
            state: recovered.state, options: options.engine, checkpoint: recovered.checkpoint,
            feed: feed,
            openJournal: { () throws(JournalError) in try handOver.take() },
            effects: { effects in
                counters.count(effects)
                source.yield(effects)
            })
        unconfirmed = engine.published.liveOrders().filter { $0.step == .submitting }
            .map(\.orderID)
        effects = stream
        effectsSource = source
        checkpoint = recovered.checkpoint
        history = OrderHistory(
            published: engine.published, checkpoint: recovered.checkpoint, store: store)
        data = DataHistory(
            published: engine.published, checkpoint: recovered.checkpoint, store: store)
        declared = recovered.state.declared.catalogue
        self.rules = rules
        self.broker = broker
        self.options = options
        logger.info(
            "recovered",
            metadata: [
                "head": "\(recovered.state.lastSequence)",
                "replayed_entries": "\(recovered.replayedEntries)",
                "live_orders": "\(engine.published.liveOrders().count)",
            ])
    }

    /// Works until the task is cancelled (returns nil) or the journal fails (returns why).
    public func run() async -> JournalError? {
        await withTaskGroup(of: Work.self) { group in
            group.addTask { [checkpoint] in
                await checkpoint.run()
                return .done
            }
            group.addTask { [engine] in .journalFailed(await engine.failure()) }
            group.addTask {
                await self.carryOut()
                return .done
            }
            for _ in 0..<max(1, options.workers) * max(1, options.callsPerWorker) {
                group.addTask { [execution] in
                    await execution.work()
                    return .done
                }
            }
            group.addTask {
                await self.lookForRoom()
                return .done
            }
            group.addTask { await self.untilCancelled() }
            var failure: JournalError?
            for await work in group {
                guard case .journalFailed(let reason) = work else {
                    if case .cancelled = work { await stop() }
                    continue
                }
                failure = reason
                await stop()
                group.cancelAll()
            }
            return failure
        }
    }

    /// Cancels an order: at once when it never left, otherwise by asking the broker, whose word
    /// decides. Returns the order as it stands now.
    /// - Parameter reason: kept in the order's row, and so in the journal's entry.
    public func cancel(
        _ orderID: String, reason: String? = nil, by actor: String
    ) async throws(EngineError) -> Order {
        let isWithdrawn = engine.orders.withdraw(orderID)
        do {
            return try await engine.perform { state, now throws(Refusal) in
                if let reason {
                    _ = try state.cancel(
                        orderID, isWithdrawn: isWithdrawn, reason: reason, at: now, by: actor)
                } else {
                    _ = try state.cancel(orderID, isWithdrawn: isWithdrawn, at: now, by: actor)
                }
                return try state.knownOrder(orderID)
            }
        } catch .refused(.unknownOrder) {
            // It may have ended long enough ago to have left memory.
            guard let past = try? await history.order(orderID) else {
                throw .refused(.unknownOrder(orderID))
            }
            throw .refused(.notCancelable(orderID: orderID, status: past.status.rawValue))
        } catch {
            // It was not cancelled, so it still has to go out.
            if isWithdrawn { engine.orders.add(orderID) }
            throw error
        }
    }

    private enum Work: Sendable {
        case done
        case cancelled
        case journalFailed(JournalError?)
    }

    private func untilCancelled() async -> Work {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
        return .cancelled
    }

    /// While the disk is full, sees each second whether there is room again, although no order that
    /// would find out is sent here.
    private func lookForRoom() async {
        while !Task.isCancelled {
            if engine.isJournalFull {
                try? await engine.perform { _, _ throws(Refusal) in }
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func stop() async {
        engine.orders.close()
        effectsSource.finish()
        await engine.stop()
        checkpoint.stop()
    }

    private var execution: OrderExecution {
        OrderExecution(
            engine: engine, history: history, broker: broker, timing: options.timing)
    }

    /// Takes up what a restart left, then does what each commit asks for.
    private func carryOut() async {
        let following = FollowedAccounts()
        await withDiscardingTaskGroup { group in
            for rules in rules where rules.closedReason == nil {
                group.addTask { await self.takeUp(rules.accountID) }
            }
            for orderID in unconfirmed {
                group.addTask { [execution] in await execution.lookUp(orderID) }
            }
            for order in engine.published.liveOrders()
            where order.cancelRequested && order.brokerOrderID != nil {
                group.addTask { [execution] in await execution.cancelAtBroker(order.orderID) }
            }
            for account in Set(engine.published.liveOrders().map(\.accountID)) {
                follow(account, following, &group)
            }
            for await batch in effects {
                for effect in batch { carryOut(effect, following, &group) }
            }
            group.cancelAll()
        }
    }

    private func takeUp(_ accountID: String) async {
        if engine.published.balance(accountID) == nil {
            let opener = AccountOpener(engine: engine, broker: broker, timing: options.timing)
            return await opener.open(accountID)
        }
        var delay = options.timing.retryFirst
        while !Task.isCancelled {
            do {
                return try await follower(accountID).catchUp()
            } catch {
                logger.warning(
                    "the broker's orders could not be read; trying again",
                    metadata: ["account_id": "\(accountID)", "problem": "\(error)"])
            }
            try? await Task.sleep(for: delay)
            delay = min(delay * 2, options.timing.retryLast)
        }
    }

    private func carryOut(
        _ effect: Effect, _ following: FollowedAccounts, _ group: inout DiscardingTaskGroup
    ) {
        switch effect {
        case .cancelAtBroker(let orderID):
            group.addTask { [execution] in await execution.cancelAtBroker(orderID) }
        case .lookUp(let orderID):
            group.addTask { [execution] in
                await execution.lookUp(orderID)
            }
        case .follow(let accountID): follow(accountID, following, &group)
        case .dispatch, .sagaEnded, .orderEnded: break
        }
    }

    private func follow(
        _ accountID: String, _ following: FollowedAccounts, _ group: inout DiscardingTaskGroup
    ) {
        guard following.begin(accountID) else { return }
        group.addTask {
            repeat { await self.follower(accountID).follow() } while following.again(accountID)
        }
    }

    private func follower(_ accountID: String) -> AccountFollower {
        AccountFollower(
            accountID: accountID, engine: engine, history: history, broker: broker,
            timing: options.timing)
    }
}

/// Which accounts have a follower, so that each has one. The lock makes "it has ended" and "it is
/// wanted again" exclusive.
private final class FollowedAccounts: Sendable {
    /// True when it was asked for again while it was at work.
    private let wanted = Mutex<[String: Bool]>([:])

    func begin(_ accountID: String) -> Bool {
        wanted.withLock { wanted in
            defer { wanted[accountID] = wanted[accountID] != nil }
            return wanted[accountID] == nil
        }
    }

    func again(_ accountID: String) -> Bool {
        wanted.withLock { wanted in
            if wanted[accountID] == true, !Task.isCancelled {
                wanted[accountID] = false
                return true
            }
            wanted[accountID] = nil
            return false
        }
    }
}

/// Hands the opened journal to the writer thread, once.
///
/// `@unchecked Sendable`: the journal is put in before the thread starts and taken out on it; the
/// lock orders the two.
private final class JournalHandOver: @unchecked Sendable {
    private let journal: Mutex<Box>

    private struct Box: @unchecked Sendable {
        var journal: SQLiteJournal?
    }

    init(_ journal: SQLiteJournal) {
        self.journal = Mutex(Box(journal: journal))
    }

    func take() throws(JournalError) -> any Journal {
        let taken = journal.withLock { box in
            defer { box.journal = nil }
            return box
        }
        guard let journal = taken.journal else { throw .missing(path: "taken twice") }
        return journal
    }
}

private struct OutcomeCounters: Sendable {
    private let sagas: [SagaStep: Counter] = [
        .completed: Counter(label: "saga_executed_total", dimensions: [("outcome", "completed")]),
        .compensated: Counter(
            label: "saga_executed_total", dimensions: [("outcome", "compensated")]),
    ]
    private let orders = Dictionary(
        uniqueKeysWithValues: OrderStatus.allCases.map { status in
            (
                status,
                Counter(label: "opsd_orders_total", dimensions: [("status", status.rawValue)])
            )
        })

    func count(_ effects: [Effect]) {
        for effect in effects {
            switch effect {
            case .sagaEnded(let step): sagas[step]?.increment()
            case .orderEnded(let status): orders[status]?.increment()
            case .dispatch: orders[.pending]?.increment()
            default: break
            }
        }
    }
}
