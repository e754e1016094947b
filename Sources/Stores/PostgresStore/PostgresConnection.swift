internal import Connections
internal import Ledger

/// A connection on a thread of its own.
actor PostgresConnection: PooledConnection {
    private nonisolated let thread = ThreadExecutor(name: "postgres")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let settings: PostgresSettings
    private var link: PostgresLink?

    private init(_ settings: PostgresSettings) {
        self.settings = settings
    }

    deinit { thread.stop() }

    static func open(_ settings: PostgresSettings) async throws(StoreError) -> PostgresConnection {
        let connection = PostgresConnection(settings)
        do throws(StoreError) {
            try await connection.connect()
        } catch {
            await connection.close()
            throw error
        }
        return connection
    }

    private func connect() throws(StoreError) {
        do throws(PostgresFailure) {
            link = try PostgresLink(settings)
        } catch {
            throw error.storeError(settings.name)
        }
    }

    /// Does something over the connection, all of it before anything else.
    /// - Parameter leavesTransaction: whether a transaction goes on with the next call.
    func run<Result: Sendable>(
        leavesTransaction: Bool = false, _ body: @Sendable (PostgresLink) throws -> Result
    ) throws(StoreError) -> Result {
        guard let link else {
            throw .unavailable(store: settings.name, problem: "the connection is closed")
        }
        do {
            let result = try body(link)
            if link.isBroken || link.isInTransaction != leavesTransaction {
                throw PostgresFailure(message: "the connection was lost")
            }
            return result
        } catch {
            // Whatever the server refused: a connection that is of no more use must not be lent again.
            if link.isBroken || link.isInTransaction { self.link = nil }
            let meaning = Self.meaning(of: error, settings.name)
            guard self.link == nil, case .refused(let store, let problem) = meaning else {
                throw meaning
            }
            throw .unavailable(store: store, problem: problem)
        }
    }

    private static func meaning(of error: any Error, _ store: String) -> StoreError {
        switch error {
        case let error as StoreError: error
        case let error as PostgresFailure: error.storeError(store)
        default: .unavailable(store: store, problem: "\(error)")
        }
    }

    func isAlive() -> Bool {
        guard let link else { return false }
        do throws(PostgresFailure) {
            try link.execute("")
            return true
        } catch {
            return false
        }
    }

    func close() {
        link = nil
        thread.stop()
    }
}
