internal import CPostgres

/// What can be said over a link.
extension PostgresLink {
    /// Several statements without parameters.
    func execute(_ sql: String) throws(PostgresFailure) {
        guard PQsendQuery(connection, sql) == 1 else { throw broken() }
        try drain()
    }

    /// One statement with parameters, its rows in binary form.
    func query(
        _ sql: String, _ parameters: PostgresParameters = PostgresParameters()
    ) throws(PostgresFailure) -> PostgresResult {
        try send(sql, parameters)
        return try receive()
    }

    /// The first half of a query: the server works on it until `receive`.
    func send(
        _ sql: String, _ parameters: PostgresParameters = PostgresParameters()
    ) throws(PostgresFailure) {
        let sent = parameters.withPointers { types, values, lengths, formats in
            PQsendQueryParams(
                connection, sql, Int32(parameters.count), types, values, lengths, formats, 1)
        }
        guard sent == 1 else { throw broken() }
        // It goes on its way now, and not when the answer is waited for.
        if PQflush(connection) < 0 { throw broken() }
    }

    func receive() throws(PostgresFailure) -> PostgresResult {
        guard let result = try drain() else { throw broken("a statement without a result") }
        return result
    }

    /// Takes the results of what was sent; the last one.
    @discardableResult
    private func drain() throws(PostgresFailure) -> PostgresResult? {
        var failure: PostgresFailure?
        var last: PostgresResult?
        while let result = try next() {
            if let found = result.failure { failure = failure ?? found }
            last = result
        }
        try failure.map { failure throws(PostgresFailure) in throw checked(failure) }
        return last
    }

    /// A server that ends a connection says why in a result first.
    private func checked(_ failure: PostgresFailure) -> PostgresFailure {
        if PQstatus(connection) == CONNECTION_BAD { _ = broken() }
        return failure
    }

    // MARK: - Pipeline

    struct Statement {
        let sql: String
        let parameters: PostgresParameters
    }

    /// Statements that are prepared once, all sent before the first answer is read. The first that
    /// fails ends them, and its failure is thrown.
    func pipeline(_ statements: [Statement]) throws(PostgresFailure) {
        guard PQenterPipelineMode(connection) == 1 else { throw broken() }
        var fresh: [String] = []
        for (index, statement) in statements.enumerated() {
            try send(statement, fresh: &fresh)
            // Answers are taken in on the way, or both sides might wait for the other to read.
            if index % 256 == 255 { try exchange { $0 } }
        }
        guard PQpipelineSync(connection) == 1 else { throw broken() }
        var failure: PostgresFailure?
        while true {
            guard let result = try next() else {
                if PQstatus(connection) == CONNECTION_BAD { throw failure ?? broken() }
                continue
            }
            if let found = result.failure { failure = failure ?? found }
            if result.status == PGRES_PIPELINE_SYNC { break }
            if PQstatus(connection) == CONNECTION_BAD { throw failure ?? broken() }
        }
        guard PQexitPipelineMode(connection) == 1 else { throw broken() }
        if let failure {
            // Whether they were prepared before it failed is not told.
            for sql in fresh { prepared[sql] = nil }
            throw checked(failure)
        }
    }

    private func send(_ statement: Statement, fresh: inout [String]) throws(PostgresFailure) {
        let parameters = statement.parameters
        var name = prepared[statement.sql]
        if name == nil {
            let new = "opsd_\(UInt64.random(in: 0 ... .max))"
            guard
                PQsendPrepare(
                    connection, new, statement.sql, Int32(parameters.count), parameters.types) == 1
            else { throw broken() }
            prepared[statement.sql] = new
            fresh.append(statement.sql)
            name = new
        }
        let sent = parameters.withPointers { _, values, lengths, formats in
            PQsendQueryPrepared(
                connection, name, Int32(parameters.count), values, lengths, formats, 1)
        }
        guard sent == 1 else { throw broken() }
    }

    // MARK: - Copy

    /// COPY … FROM STDIN (FORMAT binary).
    /// - Parameter rows: whole rows as `BinaryRows` makes them.
    func copyIn(_ sql: String, _ rows: BinaryRows) throws(PostgresFailure) {
        guard PQsendQuery(connection, sql) == 1 else { throw broken() }
        guard let first = try next() else { throw broken("COPY was not begun") }
        if let failure = first.failure {
            try drain()
            throw checked(failure)
        }
        guard first.status == PGRES_COPY_IN else { throw broken("COPY was not begun") }
        for chunk in rows.chunks {
            var isTaken: Int32 = 0
            while isTaken == 0 {
                isTaken = chunk.withUnsafeBytes { bytes in
                    PQputCopyData(
                        connection, bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
                        Int32(bytes.count))
                }
                if isTaken < 0 { throw broken() }
                try exchange { isTaken == 1 || $0 }
            }
        }
        while true {
            let ended = PQputCopyEnd(connection, nil)
            if ended == 1 { break }
            if ended < 0 { throw broken() }
            try exchange { $0 }
        }
        try drain()
    }

    // MARK: - Transactions

    func transaction<Result>(_ body: () throws -> Result) throws -> Result {
        try execute("BEGIN")
        do {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            if !isBroken, isInTransaction { try? execute("ROLLBACK") }
            throw error
        }
    }
}
