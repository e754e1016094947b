import CurlClient
import Foundation
import Ledger
import Trading

/// The running core, as a migration asks it: a core that is away is waited for, because the supervisor
/// starts it again.
struct MigrationCore: Sendable {
    private let access: CoreAccess
    private let dataset: String
    private let patience: Duration

    private static let pause = Duration.milliseconds(200)
    private static let longCall = Duration.seconds(24 * 3_600)

    init(_ configuration: Configuration, dataset: String, patience: Duration) {
        access = CoreAccess(configuration)
        self.dataset = dataset
        self.patience = patience
    }

    /// Exit code 3, at once: nobody waits for a daemon that nobody has started.
    func requireRunning() async throws(CommandFailure) {
        guard try await access.ask(.get, "/control/stores") != nil else {
            throw CommandFailure(
                .unknown, "no core is running, and it is the core that journals: opsd run starts it"
            )
        }
    }

    // MARK: What it is asked

    func compare(_ rows: some Sequence<SourceRow>) async throws(CommandFailure)
        -> MigrationControl.Comparison
    {
        let sent = rows.map {
            MigrationControl.SentRow(row: $0.bytes, sequence: $0.sequence.rawValue)
        }
        return try await ask("compare", MigrationControl.Rows(actor: "", rows: sent))
    }

    func write(_ rows: MigrationControl.Rows) async throws(CommandFailure)
        -> MigrationControl.Written
    {
        try await ask("migrate", rows)
    }

    func undo(_ changes: MigrationControl.Undo) async throws(CommandFailure) -> Int {
        let undone: MigrationControl.Undone = try await ask("undo", changes)
        return undone.count
    }

    /// Compares the core's rows with a store's, all of them.
    func agree(with store: String) async throws(CommandFailure) -> MigrationControl.Agreed {
        let none = MigrationControl.Undone(count: 0)
        return try await ask(
            "agree/\(ServiceClient.segment(store))", none, timeout: Self.longCall)
    }

    /// Has it look again whether it has all rows that lie in a store by now.
    /// - Returns: whether it writes the dataset there: what lies there is opsd's own.
    @discardableResult
    func look(at store: String) async throws(CommandFailure) -> Bool {
        let looked: MigrationControl.Looked = try await ask(
            "look/\(ServiceClient.segment(store))", MigrationControl.Undone(count: 0),
            timeout: Self.longCall)
        return looked.isWritten
    }

    func rebuild(_ store: String, by operatorName: String) async throws(CommandFailure) {
        let body = StoreControl.Rebuild(
            datasets: [dataset], operatorName: operatorName, reason: "migration")
        let path = "/control/stores/\(ServiceClient.segment(store))/rebuild"
        try await patient { () async throws(CommandFailure) in
            try await access.ask(.post, path, encoding: body, timeout: Self.longCall)
        }
    }

    // MARK: Stores

    struct Store: Decodable, Equatable {
        let name: String
        let state: String
        let says: String
        /// It answers, and trying again gives the same answer.
        let refuses: Bool?
        let applied_sequence: String?
        let lag_entries: Int?
        let rows_done: Int?
        let rows_total: Int?
    }

    /// Until a store has what is journaled. One that comes no nearer for as long as is waited for is
    /// away: what is done is done, and the same command carries on.
    func untilFollowing(_ name: String) async throws(CommandFailure) {
        var deadline = ContinuousClock.now + patience
        var last: Store?
        while true {
            let now = try await store(name)
            guard let now else {
                throw CommandFailure(
                    .badInput,
                    "the running core writes no store '\(name)'; opsd service restart core")
            }
            if now.state == "following", now.lag_entries == 0 { return }
            if now != last { deadline = ContinuousClock.now + patience }
            last = now
            guard ContinuousClock.now < deadline else {
                throw CommandFailure(
                    now.refuses == true ? .refused : .unknown, "store \(name) \(now.says)")
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    func store(_ name: String) async throws(CommandFailure) -> Store? {
        let answer = try await patient { () async throws(CommandFailure) in
            try await access.ask(.get, "/control/stores")
        }
        return try answer.data([Store].self).first { $0.name == name }
    }

    // MARK: Patience

    private func ask<Content: Decodable>(
        _ what: String, _ content: some Encodable, timeout: Duration = .seconds(60)
    ) async throws(CommandFailure) -> Content {
        let path = "/control/data/\(ServiceClient.segment(dataset))/\(what)"
        return try await patient { () async throws(CommandFailure) in
            try await access.ask(.post, path, encoding: content, timeout: timeout)
        }.data(Content.self)
    }

    /// Everything that is asked may be asked twice.
    @discardableResult
    private func patient(
        _ ask: () async throws(CommandFailure) -> ServiceClient.Answer?
    ) async throws(CommandFailure) -> ServiceClient.Answer {
        let deadline = ContinuousClock.now + patience
        while true {
            var problem = "no core is running"
            do {
                if let answer = try await ask() { return answer }
            } catch {
                guard error.status == .unknown else { throw error }
                problem = error.message
            }
            guard ContinuousClock.now < deadline else { throw CommandFailure(.unknown, problem) }
            try? await Task.sleep(for: Self.pause)
        }
    }
}
