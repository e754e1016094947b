import Ledger
import SQLiteStore
import TestSupport
import Testing

@testable import Trading

/// A suite that runs the whole core, in one folder: a second one begins with what the first one left.
protocol CoreRuns {
    var folder: TemporaryDirectory { get }
}

extension CoreRuns {
    typealias Running = (core: TradingCore, run: Task<JournalError?, Never>)

    /// - Parameters:
    ///   - orders: the account may have at work.
    ///   - settle: how long an order may be missing at the broker before it counts as lost.
    func start(
        _ broker: ScriptedBroker, orders: Int = 1_000, workers: Int = 2, settle: Duration? = nil
    ) async throws -> Running {
        var options = TradingCore.Options()
        options.timing.retryFirst = .milliseconds(2)
        options.timing.retryLast = .milliseconds(20)
        options.timing.followFirst = .milliseconds(2)
        options.timing.followLast = .milliseconds(20)
        if let settle { options.timing.settle = settle }
        options.workers = workers
        options.callsPerWorker = 4
        let core = try await TradingCore.start(
            rules: [AccountRules(accountID: "A", masterAccount: "M", maxConcurrentOrders: orders)],
            journalDirectory: folder.path("journal"),
            store: try SQLiteStore(
                path: folder.path("rows.sqlite"), schemas: Datasets.catalogue),
            broker: broker, options: options)
        let run = Task { await core.run() }
        await eventually { core.engine.published.balance("A") != nil }
        return (core, run)
    }

    func place(_ core: TradingCore, _ quantity: String = "10") async throws -> Order {
        let request = OrderRequest(accountID: "A", terms: limit(.buy, quantity, at: "10"))
        let placement = try await core.engine.performBounded { state, now throws(Refusal) in
            try state.place(request, at: now, by: "tester")
        }
        guard case .accepted(let order) = placement else { throw Unexpected() }
        return order
    }

    /// Looks until it is so; the suite's time limit is the end of its patience.
    func eventually(_ condition: () async throws -> Bool) async rethrows {
        while try await !condition(), !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    func ended(_ id: String, _ core: TradingCore) async throws -> Order {
        try await eventually { try await core.history.order(id)?.status.isTerminal ?? false }
        return try #require(try await core.history.order(id))
    }
}
