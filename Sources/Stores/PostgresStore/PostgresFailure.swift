internal import Ledger

/// What the server said, or that it said nothing.
struct PostgresFailure: Error {
    /// Five characters; nil when no answer came.
    var sqlState: String?
    var message: String

    /// `opsd`'s own tables or its schema are not there.
    var isMissingTable: Bool { sqlState == "42P01" || sqlState == "3F000" }
    var isDuplicateKey: Bool { sqlState == "23505" }

    /// What it means for who called the store.
    func storeError(_ store: String) -> StoreError {
        guard let sqlState else { return .unavailable(store: store, problem: message) }
        let problem = "\(message) (SQLSTATE \(sqlState))"
        let remedy = Self.remedy(sqlState).map { "\(problem): \($0)" } ?? problem
        switch Self.meaning(sqlState) {
        case .later: return .unavailable(store: store, problem: problem)
        case .damage: return .damaged(store: store, problem: remedy)
        case .refusal: return .refused(store: store, problem: remedy)
        }
    }

    private enum Meaning { case later, damage, refusal }

    private static func meaning(_ sqlState: String) -> Meaning {
        switch sqlState {
        case "XX001", "XX002": .damage
        // A standby, a cancelled statement, a lock that was not to be had, an object in use.
        case "25006", "57014", "55P03", "55006", "25P03": .later
        // No connection, a rollback that asks for another try, no resources, an operator's doing, the
        // system's own errors, and what the server calls an internal error: nothing is known then.
        default:
            ["08", "40", "53", "57", "58", "XX"].contains { sqlState.hasPrefix($0) }
                ? .later : .refusal
        }
    }

    private static func remedy(_ sqlState: String) -> String? {
        switch sqlState {
        case "28P01", "28000": "check the user and the password of the store's url"
        case "3D000": "create the database, or correct the store's url"
        case "42501": "give the store's user the right to do this"
        case "42P01", "3F000", "42703":
            "a table or column of opsd was dropped or renamed: opsd rebuild fills it again"
        case "42P07":
            """
            a table of this name is there and was not made by opsd: use another database, or map \
            the dataset to another table
            """
        case "XX001", "XX002": "restore the database or fill it anew with opsd rebuild"
        default: nil
        }
    }
}
