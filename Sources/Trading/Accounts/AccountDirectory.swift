public import StrictYAML

/// An account file: where it is, and what findings call it.
public struct AccountFile: Sendable, Hashable {
    public let path: String
    public let name: String

    public init(path: String, name: String? = nil) {
        self.path = path
        self.name = name ?? path
    }
}

/// Every account that the files declare, checked against each other. An immutable value: a reload
/// makes a new one.
public struct AccountDirectory: Sendable, Equatable {
    /// In the order of the files.
    public let accounts: [Account]
    public let masters: [Account]
    public let tradingAccounts: [Account]
    public let dataAccounts: [Account]
    public let backups: [Account]
    private let indexes: [String: Int]

    /// Of two accounts with the same id the first counts.
    public init(accounts: [Account]) {
        self.accounts = accounts
        masters = accounts.filter { $0.role == .master }
        tradingAccounts = accounts.filter { $0.role == .trading }
        dataAccounts = accounts.filter { $0.role == .data }
        backups = accounts.filter { $0.role == .backup }
        var indexes: [String: Int] = [:]
        for (index, account) in accounts.enumerated() where indexes[account.id] == nil {
            indexes[account.id] = index
        }
        self.indexes = indexes
    }

    public subscript(id: String) -> Account? { indexes[id].map { accounts[$0] } }

    /// The master of a trading account; nil when it has none, or is none itself.
    public func master(of id: String) -> Account? {
        self[id]?.masterAccount.flatMap { self[$0] }
    }
}

// MARK: - Loading

extension AccountDirectory {
    /// Reads all files and checks the accounts against each other. Records every finding; the
    /// result is only worth using when none of them is an error. `refusesSharedKeys`: two paper
    /// accounts with one `api_key` are an error. `document`: where a file's content comes from.
    public static func load(
        files: [AccountFile], connectionsMax: Int = AccountConnectionPool.connectionsMax,
        refusesSharedKeys: Bool = false, environment: @escaping @Sendable (String) -> String?,
        decrypt: @escaping Expansion.Decrypt = Expansion.noKey, findings: Findings,
        document: (AccountFile) throws(StrictYAMLError) -> YAMLDocument = {
            file throws(StrictYAMLError) in try YAMLDocument(path: file.path, name: file.name)
        }
    ) -> AccountDirectory {
        var records: [AccountRecord] = []
        var isComplete = true
        for file in files {
            do {
                let document = try document(file)
                let folder = file.path.lastIndex(of: "/").map { String(file.path[..<$0]) } ?? ""
                let expansion = Expansion(
                    environment: environment, folder: folder, decrypt: decrypt)
                records += read(
                    document.root(findings: findings, expansion: expansion),
                    connectionsMax: connectionsMax)
            } catch {
                findings.append(error.findings)
                isComplete = false
            }
        }
        // Where a file could not be read at all, every account in it would be reported as unknown.
        let checks = AccountChecks(records: records, findings: findings)
        checks.run(linksToo: isComplete)
        if refusesSharedKeys { checks.refuseSharedKeys() }
        return AccountDirectory(accounts: records.map(\.account))
    }

    /// What an account file may say, recorded from the reading itself.
    public static var shape: YAMLShape {
        YAMLShape.of { _ = read($0, connectionsMax: AccountConnectionPool.connectionsMax) }
    }

    /// The same, throwing when there is an error. Warnings come back with the result.
    public static func load(
        files: [AccountFile], environment: @escaping @Sendable (String) -> String? = { _ in nil }
    ) throws(StrictYAMLError) -> (directory: AccountDirectory, warnings: [Finding]) {
        let findings = Findings()
        let directory = load(files: files, environment: environment, findings: findings)
        try findings.throwIfErrors()
        return (directory, findings.warnings)
    }

    private static let lists: [(key: String, role: AccountRole?)] = [
        ("master_accounts", .master), ("trading_accounts", .trading), ("data_accounts", .data),
        ("backup_accounts", .backup), ("accounts", nil),
    ]

    static func read(_ root: YAMLValue, connectionsMax: Int) -> [AccountRecord] {
        let records = root.mapping { top -> [AccountRecord]? in
            var records: [AccountRecord] = []
            var hasList = false
            for (key, role) in lists {
                hasList = hasList || top.contains(key)
                guard let list = top.optional(key) else { continue }
                records +=
                    list.sequence {
                        AccountReader.read(
                            $0, listName: key, listRole: role,
                            connectionsMax: connectionsMax)
                    } ?? []
            }
            if !hasList {
                top.refuse(
                    "the file declares no accounts",
                    "begin it with one of: \(lists.map { $0.key + ":" }.joined(separator: ", "))")
            }
            return records
        }
        return records ?? []
    }
}
