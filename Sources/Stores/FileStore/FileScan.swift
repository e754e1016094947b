public import Ledger

/// Everything in a dataset's files, one file after the other, read anew from the disk each time.
///
/// A file that can be read and not understood is one finding: what it held is not known. One that cannot be
/// read at all ends the scan, because then nothing is known of it.
extension FileStore: ScannableStore {
    private static let rowsMax = 10_000

    public func scan(
        _ dataset: String, account: String?,
        _ consume: @Sendable ([FoundRow]) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        let layout = try layout(dataset)
        let schema = layout.schema
        let wanted = schema.accountField == nil ? nil : account
        for file in try everyFile() {
            guard let path = layout.values(ofFile: file),
                layout.mayHold(wanted, path)
            else { continue }
            let found = try findings(in: file, path, layout).all.filter { found in
                guard let wanted, case .row(let stamped) = found else { return true }
                // By bytes: two spellings of one letter are two accounts.
                return schema.accountField.map { stamped.row.values[$0] == .text(wanted) } ?? true
            }
            for start in stride(from: 0, to: found.count, by: Self.rowsMax) {
                try await consume(Array(found[start..<min(start + Self.rowsMax, found.count)]))
            }
        }
    }

    public func find(_ keys: [RowKey]) async throws(StoreError) -> [FoundRow?] {
        guard let dataset = keys.first?.dataset else { return [] }
        let layout = try layout(dataset)
        var files: [String: [Int]] = [:]
        var searched: [Int] = []
        for (index, key) in keys.enumerated() {
            guard key.dataset == dataset, key.values.count == layout.schema.keyCount else {
                throw .refused(store: folder.root, problem: "\(key) is no key of \(dataset)")
            }
            guard layout.pathFields.values.allSatisfy({ $0 < layout.schema.keyCount }) else {
                searched.append(index)
                continue
            }
            // A name that no file can have has none.
            guard let file = try? layout.file(of: key.values) else { continue }
            files[file, default: []].append(index)
        }
        if !searched.isEmpty {
            for file in try everyFile() {
                guard let path = layout.values(ofFile: file) else { continue }
                let fitting = searched.filter { index in
                    let key = keys[index].values
                    return path.allSatisfy { $0.key >= key.count || key[$0.key] == $0.value }
                }
                if !fitting.isEmpty { files[file] = fitting }
            }
        }
        var found = [FoundRow?](repeating: nil, count: keys.count)
        for (file, indexes) in files {
            guard let path = layout.values(ofFile: file) else { continue }
            let findings = try findings(in: file, path, layout)
            for index in indexes {
                if let row = findings.rows[layout.entryName(of: keys[index].values)] {
                    found[index] = row
                } else if let whole = findings.whole, found[index] == nil {
                    found[index] = .damaged(
                        DamagedRow(key: keys[index], place: whole.place, problem: whole.problem))
                }
            }
        }
        return found
    }

    // MARK: -

    /// What a file holds.
    fileprivate struct Findings {
        /// By their names in the file.
        var rows: [String: FoundRow] = [:]
        /// What is no row that has a name.
        var others: [DamagedRow] = []
        /// Why nothing of the file is known.
        var whole: DamagedRow?

        var all: [FoundRow] {
            rows.values + others.map(FoundRow.damaged) + (whole.map { [.damaged($0)] } ?? [])
        }
    }

    private func findings(
        in file: String, _ path: [Int: Value], _ layout: FileLayout
    ) throws(StoreError) -> Findings {
        var findings = Findings()
        func whole(_ problem: String) {
            findings.whole = DamagedRow(key: nil, place: file, problem: problem)
        }
        let content: RowFile
        do throws(StoreError) {
            let (bytes, stamps) = try self.bytes(of: file)
            do throws(RowFileError) {
                // Stamps without rows are none.
                content = try layout.read(bytes, stamps: bytes == nil ? nil : stamps)
            } catch {
                whole(error.problem)
                return findings
            }
        } catch {
            // Something else than a file lies there.
            guard case .damaged(_, let problem) = error else { throw Self.unread(error) }
            whole(problem)
            return findings
        }
        for (name, entry) in content.entries {
            if let row = layout.row(name, entry, inFile: path) {
                findings.rows[name] = .row(row)
            } else {
                let problem = "nobody journaled '\(name.prefix(80))', and it is not whole"
                findings.add(.init(name: name, problem: problem), file, path, layout)
            }
        }
        for damage in content.damage where !damage.isStampAlone {
            findings.add(damage, file, path, layout)
        }
        return findings
    }

    /// A file and its stamps as of one moment: whoever writes replaces the one and then the other.
    func bytes(of file: String) throws(StoreError) -> (rows: [UInt8]?, stamps: [UInt8]?) {
        let files = [file, Self.stamps(file)]
        var bytes: [[UInt8]?] = [nil, nil]
        // A file that is replaced all the time is taken as it was last.
        for _ in 0..<10 {
            var before: [Folder.Identity?] = []
            var after: [Folder.Identity?] = []
            for file in files { before.append(try folder.identity(file)) }
            for index in files.indices { bytes[index] = try folder.read(files[index]) }
            for file in files { after.append(try folder.identity(file)) }
            if before == after { break }
        }
        return (bytes[0], bytes[1])
    }

    private func everyFile() throws(StoreError) -> [String] {
        do throws(StoreError) {
            return try folder.files(withOthers: true)
        } catch {
            throw Self.unread(error)
        }
    }

    /// What may not be read is not known: it is neither missing nor damaged.
    private static func unread(_ error: StoreError) -> StoreError {
        guard case .refused(let store, let problem) = error else { return error }
        return .unavailable(store: store, problem: problem)
    }
}

extension FileStore.Findings {
    fileprivate mutating func add(
        _ damage: RowFile.Damage, _ file: String, _ path: [Int: Value], _ layout: FileLayout
    ) {
        let key = damage.name.flatMap { layout.key(ofEntry: $0, path) }
        let row = DamagedRow(key: key, place: file, problem: damage.problem)
        if let name = damage.name {
            rows[name] = .damaged(row)
        } else {
            others.append(row)
        }
    }
}

extension FileLayout {
    /// Whether a file may have rows of the account.
    fileprivate func mayHold(_ account: String?, _ path: [Int: Value]) -> Bool {
        guard let account, let field = schema.accountField, let told = path[field] else {
            return true
        }
        return told == .text(account)
    }

    /// Nil where path and name do not tell all of the key.
    fileprivate func key(ofEntry name: String, _ path: [Int: Value]) -> RowKey? {
        let values = path.merging(values(ofEntry: name) ?? [:]) { first, _ in first }
        var key: [Value] = []
        for index in 0..<schema.keyCount {
            guard let value = values[index] else { return nil }
            key.append(value)
        }
        return RowKey(dataset: schema.dataset, values: key)
    }
}
