internal import Ledger

/// opsd's own rows, in the schema `opsd`: what the database is a copy of and how far, which datasets
/// are whole, and the digests.
enum StampRows {
    /// Nil where there is no store yet.
    static func applied(
        _ link: PostgresLink, locking: Bool
    ) throws(PostgresFailure) -> (journal: String?, applied: SequenceNumber) {
        let result = try link.query(
            "SELECT applied, journal FROM opsd.store\(locking ? " FOR UPDATE" : "")")
        guard result.rowCount > 0, let applied = result.integer(0, 0) else { return (nil, .none) }
        return (result.text(0, 1), SequenceNumber(rawValue: applied))
    }

    static func position(_ link: PostgresLink) throws -> StorePosition {
        try link.transaction {
            // One moment for both.
            try link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            let (journal, applied) = try applied(link, locking: false)
            let result = try link.query("SELECT dataset FROM opsd.datasets WHERE is_whole")
            let datasets = (0..<result.rowCount).compactMap { result.text($0, 0) }
            return StorePosition(journal: journal, applied: applied, datasets: Set(datasets))
        }
    }

    static func move(to applied: SequenceNumber) -> PostgresLink.Statement {
        var parameters = PostgresParameters()
        parameters.append(applied.rawValue)
        return .init(
            sql: """
                INSERT INTO opsd.store (applied) VALUES ($1)
                ON CONFLICT (is_one) DO UPDATE SET applied = EXCLUDED.applied
                """, parameters: parameters)
    }

    static func take(_ position: StorePosition) -> [PostgresLink.Statement] {
        var place = PostgresParameters()
        place.append(position.applied.rawValue)
        place.append(position.journal)
        let taken = PostgresLink.Statement(
            sql: """
                INSERT INTO opsd.store (applied, journal) VALUES ($1, $2)
                ON CONFLICT (is_one)
                DO UPDATE SET applied = EXCLUDED.applied, journal = EXCLUDED.journal
                """, parameters: place)
        let none = PostgresLink.Statement(
            sql: "UPDATE opsd.datasets SET is_whole = false", parameters: PostgresParameters())
        return [taken, none]
            + position.datasets.sorted().map { dataset in
                var parameters = PostgresParameters()
                parameters.append(dataset)
                return .init(
                    sql: """
                        INSERT INTO opsd.datasets (dataset, is_whole) VALUES ($1, true)
                        ON CONFLICT (dataset) DO UPDATE SET is_whole = true
                        """, parameters: parameters)
            }
    }

    static func forget(_ dataset: String) -> [PostgresLink.Statement] {
        var parameters = PostgresParameters()
        parameters.append(dataset)
        return [
            .init(sql: "DELETE FROM opsd.digests WHERE dataset = $1", parameters: parameters),
            .init(
                sql: """
                    INSERT INTO opsd.datasets (dataset, is_whole) VALUES ($1, false)
                    ON CONFLICT (dataset) DO UPDATE SET is_whole = false
                    """, parameters: parameters),
        ]
    }

    static func write(_ digests: [DigestStamp]) -> [PostgresLink.Statement] {
        digests.map { stamp in
            var parameters = PostgresParameters()
            parameters.append(stamp.scope.dataset)
            parameters.append(stamp.scope.account)
            parameters.append(
                octets: withUnsafeBytes(of: stamp.digest.sum.bigEndian) { Array($0) })
            parameters.append(stamp.digest.count)
            return .init(
                sql: """
                    INSERT INTO opsd.digests VALUES ($1, $2, $3, $4)
                    ON CONFLICT (dataset, account)
                    DO UPDATE SET sum = EXCLUDED.sum, count = EXCLUDED.count
                    """, parameters: parameters)
        }
    }

    static func digests(_ link: PostgresLink) throws -> [DigestStamp] {
        let result = try link.query("SELECT dataset, account, sum, count FROM opsd.digests")
        return try (0..<result.rowCount).map { row in
            guard let dataset = result.text(row, 0), let account = result.text(row, 1),
                let sum = result.bytes(row, 2), sum.count == 16, let count = result.integer(row, 3)
            else {
                throw StoreError.damaged(
                    store: "opsd.digests", problem: "row \(row) is not a digest")
            }
            return DigestStamp(
                scope: DigestScope(dataset: dataset, account: account),
                digest: Digest(
                    sum: sum.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }, count: count))
        }
    }
}
