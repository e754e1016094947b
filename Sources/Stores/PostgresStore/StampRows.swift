internal import Ledger

/// opsd's own rows, in the schema `opsd`: what the database is a copy of and how far, which datasets
/// are whole, and the digests.
enum StampRows {
    /// Nobody else moves the store until the transaction ends.
    static func lockedPlace(_ link: PostgresLink) throws(PostgresFailure) -> JournalPlace {
        place(try link.query("SELECT applied, journal, checksum FROM opsd.store FOR UPDATE"))
    }

    /// Without a row where there is no store yet.
    private static func place(_ result: PostgresResult) -> JournalPlace {
        guard result.rowCount > 0, let applied = result.integer(0, 0) else {
            return StorePosition.empty.place
        }
        return JournalPlace(
            journal: result.text(0, 1), applied: SequenceNumber(rawValue: applied),
            checksum: result.text(0, 2))
    }

    /// - Parameters:
    ///   - layouts: what tells a layout from another one, by dataset.
    ///   - locking: until the transaction ends.
    static func position(
        _ link: PostgresLink, layouts: [String: String], locking: Bool = false
    ) throws(PostgresFailure) -> StorePosition {
        if locking { _ = try lockedPlace(link) }
        // One statement sees one moment.
        let result = try link.query(
            """
            SELECT applied, journal, checksum, dataset, layout
            FROM opsd.store LEFT JOIN opsd.datasets ON is_whole
            """)
        var filled: [String: String?] = [:]
        for row in 0..<result.rowCount {
            guard let dataset = result.text(row, 3) else { continue }
            filled.updateValue(result.text(row, 4), forKey: dataset)
        }
        return StorePosition(place(result), datasets: StorePosition.whole(filled, in: layouts))
    }

    /// Leaves whose copy the store is.
    static func move(to place: JournalPlace) -> PostgresLink.Statement {
        var parameters = PostgresParameters()
        parameters.append(place.applied.rawValue)
        parameters.append(place.checksum)
        return .init(
            sql: """
                INSERT INTO opsd.store (applied, checksum) VALUES ($1, $2)
                ON CONFLICT (is_one)
                DO UPDATE SET applied = EXCLUDED.applied, checksum = EXCLUDED.checksum
                """, parameters: parameters)
    }

    static func take(
        _ position: StorePosition, layouts: [String: String]
    ) -> [PostgresLink.Statement] {
        var owner = PostgresParameters()
        owner.append(position.journal)
        let taken = PostgresLink.Statement(
            sql: "UPDATE opsd.store SET journal = $1", parameters: owner)
        let none = PostgresLink.Statement(
            sql: "UPDATE opsd.datasets SET is_whole = false", parameters: PostgresParameters())
        return [move(to: position.place), taken, none]
            + position.datasets.sorted().map { dataset in
                var parameters = PostgresParameters()
                parameters.append(dataset)
                parameters.append(layouts[dataset])
                return .init(
                    sql: """
                        INSERT INTO opsd.datasets (dataset, is_whole, layout) VALUES ($1, true, $2)
                        ON CONFLICT (dataset)
                        DO UPDATE SET is_whole = true, layout = EXCLUDED.layout
                        """, parameters: parameters)
            }
    }

    static func forgetDigests(of dataset: String) -> PostgresLink.Statement {
        var parameters = PostgresParameters()
        parameters.append(dataset)
        return .init(
            sql: "DELETE FROM opsd.digests WHERE dataset = $1", parameters: parameters)
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
