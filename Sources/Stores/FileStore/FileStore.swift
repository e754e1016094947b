internal import Connections
internal import Foundation
public import Ledger

/// A copy of the rows in plain JSON and CSV files that other programs read: a folder an account.
///
/// A file is written whole, beside the old one, flushed, and put in its place; a batch writes each of its
/// files once. The stamps lie in `.opsd/`, in a file for each file of rows, written after it; last comes
/// the applied sequence. So after a crash at any point the applied sequence trails the rows, and applying
/// the batch again gives the same files.
///
/// What other programs change is read as it lies: a row without stamp is one that nobody journaled.
public actor FileStore: ReplicaStore {
    private nonisolated let thread = ThreadExecutor(name: "files")
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        thread.asUnownedSerialExecutor()
    }

    private struct Known {
        let rows: Folder.Identity?
        let stamps: Folder.Identity?
        let file: RowFile
    }

    /// Files are kept as they were read or written last, until they have changed.
    private static let knownRowsMax = 200_000

    let folder: Folder
    private let layouts: [String: FileLayout]
    private var known: [String: Known] = [:]
    private var knownRows = 0
    private var state: StoreFile?

    /// - Parameters:
    ///   - path: a folder.
    ///   - layouts: of datasets that are not to lie as `FileLayout(schema:)` has it.
    ///   - makes: whether the folder is made when it is not there; without it the store is unavailable
    ///     then.
    public init(
        path: String, schemas: SchemaCatalogue, layouts: [String: FileLayout] = [:],
        makes: Bool = true
    ) throws(StoreError) {
        folder = Folder(root: path)
        var all: [String: FileLayout] = [:]
        for schema in schemas.schemas {
            let layout: FileLayout
            do {
                layout = try layouts[schema.dataset] ?? FileLayout(schema: schema)
            } catch {
                throw .refused(store: path, problem: "\(error)")
            }
            if let other = all.values.first(where: layout.overlaps) {
                throw .refused(
                    store: path,
                    problem:
                        "the files of \(schema.dataset) ('\(layout.pathText)') may be those of "
                        + "\(other.schema.dataset) ('\(other.pathText)'): give one of them another path"
                )
            }
            all[schema.dataset] = layout
        }
        self.layouts = all
        if makes { try folder.makeRoot() } else { try folder.expectRoot() }
    }

    deinit { thread.stop() }

    // MARK: - Writing

    public func appliedSequence() async throws(StoreError) -> SequenceNumber {
        try storeFile().place.applied
    }

    public func position() async throws(StoreError) -> StorePosition {
        try storeFile().position(in: identities)
    }

    private var identities: [String: String] { layouts.mapValues(\.identity) }

    public func digests() async throws(StoreError) -> [DigestStamp] {
        try storeFile().digests.map { DigestStamp(scope: $0.key, digest: $0.value) }
    }

    public func apply(_ batch: StoreBatch) async throws(StoreError) {
        var state = try storeFile()
        guard try batch.isDue(at: state.place, of: folder.root) else { return }
        var changes: [String: [(name: String, entry: RowFile.Entry?)]] = [:]
        var datasets: [String: String] = [:]
        for change in batch.changes {
            let layout = try layout(change.key.dataset)
            guard let row = change.row else {
                for (file, name) in try places(of: change.key, layout) {
                    changes[file, default: []].append((name, nil))
                    datasets[file] = change.key.dataset
                }
                continue
            }
            try check(row, layout)
            let file = try layout.file(of: row.values)
            let stamped = StampedRow(row: row, sequence: change.sequence)
            changes[file, default: []].append(
                (layout.entryName(of: row.values), layout.entry(of: stamped)))
            datasets[file] = change.key.dataset
        }
        try write(changes, datasets)
        state.place.applied = batch.through.applied
        state.place.checksum = batch.through.checksum
        for stamp in batch.digests { state.digests[stamp.scope] = stamp.digest }
        try save(state)
    }

    public func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        for dataset in datasets { _ = try layout(dataset) }
        var state: StoreFile
        do throws(StoreError) {
            state = try storeFile()
            try state.position(in: identities).expect(found, of: folder.root)
        } catch {
            // What cannot be read is begun anew: nothing is whole then.
            guard case .damaged = error, found == nil else { throw error }
            state = StoreFile()
        }
        state.take(begun, in: identities)
        state.digests = state.digests.filter { !datasets.contains($0.key.dataset) }
        var earlier: [FileLayout] = []
        for dataset in datasets {
            let layout = try layout(dataset)
            let others = (state.layouts[dataset] ?? []).filter { $0 != layout.identity }
            state.layouts[dataset] = others + [layout.identity]
            earlier += others.compactMap { layout.earlier($0) }
        }
        try save(state)
        let respelled = datasets.compactMap { layouts[$0] }
        var removed: [String] = []
        for file in try files(withVanished: true) {
            let layout: FileLayout
            if let owner = layouts.first(where: { $0.value.values(ofFile: file) != nil }) {
                guard datasets.contains(owner.key) else { continue }
                layout = owner.value
            } else {
                // What an earlier layout or spelling had there, if opsd wrote it.
                guard
                    let former = earlier.first(where: { $0.values(ofFile: file) != nil })
                        ?? respelled.first(where: { $0.isOfBefore(file) }),
                    try folder.identity(Self.stamps(file)) != nil
                else { continue }
                layout = former
            }
            forget(file)
            try empty(file, layout)
            try folder.remove(Self.stamps(file))
            removed += [file, Self.stamps(file)]
        }
        try folder.flushFolders(of: removed)
    }

    /// Members that are no rows stay where they are.
    private func empty(_ file: String, _ layout: FileLayout) throws(StoreError) {
        var rest = RowFile()
        if !layout.ignored.isEmpty, let bytes = try folder.read(file) {
            rest.ignored = IgnoredMembers.find(layout.ignored, in: bytes)
        }
        if rest.isEmpty {
            try folder.remove(file)
        } else {
            try folder.replace(file, with: layout.json(rest))
        }
    }

    public func fill(
        _ rows: [StampedRow], at begun: StorePosition?
    ) async throws(StoreError) {
        try storeFile().position(in: identities).expect(begun, of: folder.root)
        var changes: [String: [(name: String, entry: RowFile.Entry?)]] = [:]
        var datasets: [String: String] = [:]
        for stamped in rows {
            let layout = try layout(stamped.row.dataset)
            try check(stamped.row, layout)
            let file = try layout.file(of: stamped.row.values)
            changes[file, default: []].append(
                (layout.entryName(of: stamped.row.values), layout.entry(of: stamped)))
            datasets[file] = stamped.row.dataset
        }
        try write(changes, datasets)
    }

    public func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        var state = try storeFile()
        try state.position(in: identities).expect(begun, of: folder.root)
        state.take(position, in: identities)
        for stamp in digests { state.digests[stamp.scope] = stamp.digest }
        try save(state)
    }

    /// Rows first, then their stamps, each kind flushed before the next begins.
    private func write(
        _ changes: [String: [(name: String, entry: RowFile.Entry?)]],
        _ datasets: [String: String]
    ) throws(StoreError) {
        var writes: [FileWrite] = []
        for (file, changed) in changes.sorted(by: { $0.key < $1.key }) {
            let layout = try layout(datasets[file] ?? "")
            let present = try load(file, layout)
            var rows = present
            for (name, entry) in changed {
                rows.entries[name] = entry
                rows.vanished[name] = nil
            }
            let isSame = !rows.isEmpty && rows.shows(the: present)
            writes.append(FileWrite(file: file, layout: layout, rows: rows, isSame: isSame))
        }
        for write in writes { forget(write.file) }
        try Abreast.forEach(writes) { [folder] write throws(StoreError) in
            try write.putRows(in: folder)
        }
        try folder.flushFolders(of: writes.map(\.file))
        try Abreast.forEach(writes) { [folder] write throws(StoreError) in
            try write.putStamps(Self.stamps(write.file), in: folder)
        }
        for write in writes where !write.hasNoStamps { try remember(write.file, write.rows) }
        try folder.flushFolders(of: writes.map { Self.stamps($0.file) })
    }

    // MARK: - Reading

    public func row(_ key: RowKey) async throws(StoreError) -> StampedRow? {
        let layout = try layout(key.dataset)
        guard key.values.count == layout.schema.keyCount else {
            throw .refused(store: folder.root, problem: "\(key) is no key of \(key.dataset)")
        }
        for (file, name) in try places(of: key, layout) {
            let rows = try load(file, layout)
            guard let entry = rows.entries[name], let path = layout.values(ofFile: file) else {
                if rows.vanished[name] != nil, try isWhole(layout) { throw vanished(name, file) }
                continue
            }
            return try stamped(layout.row(name, entry, inFile: path), file, name)
        }
        return nil
    }

    public func rows(_ query: RowQuery) async throws(StoreError) -> [StampedRow] {
        let layout = try layout(query.dataset)
        return try query.page(
            of: try candidates(
                query, layout,
                limit: query.order == nil && query.offset == 0 ? query.limit : nil),
            in: layout.schema, store: folder.root)
    }

    public func count(_ query: RowQuery) async throws(StoreError) -> Int {
        let layout = try layout(query.dataset)
        return try query.matches(
            among: try candidates(query, layout), in: layout.schema, store: folder.root
        ).count
    }

    /// The rows of all files that may hold what is asked for.
    /// - Parameter limit: so many of the first ones in the order of the keys are enough.
    private func candidates(
        _ query: RowQuery, _ layout: FileLayout, limit: Int? = nil
    ) throws(StoreError) -> [StampedRow] {
        let wanted = query.matching.compactMap { field, values in
            layout.pathFields[field].map { (index: $0, values: Set(values)) }
        }
        var files: [(file: String, path: [Int: Value])] = []
        let isWhole = try isWhole(layout)
        for file in try self.files(withVanished: isWhole) {
            guard let path = layout.values(ofFile: file),
                wanted.allSatisfy({ $0.values.contains(path[$0.index] ?? .null) })
            else { continue }
            files.append((file, path))
        }
        let limit = layout.orderingCount == nil ? nil : limit
        if limit != nil { files = first(files, after: query.afterKey, layout) }
        var found: [StampedRow] = []
        var count = 0
        for (file, path) in files {
            if let limit, count >= limit { break }
            var rows: [StampedRow] = []
            let content = try load(file, layout)
            if isWhole, let name = content.vanished.keys.min() { throw vanished(name, file) }
            for (name, entry) in content.entries {
                rows.append(try stamped(layout.row(name, entry, inFile: path), file, name))
            }
            if limit != nil {
                rows = try query.matches(among: rows, in: layout.schema, store: folder.root)
                count += rows.count
            }
            found += rows
        }
        return found
    }

    /// In the order of the keys, without those whose rows all stand before one.
    private func first(
        _ files: [(file: String, path: [Int: Value])], after key: [Value]?, _ layout: FileLayout
    ) -> [(file: String, path: [Int: Value])] {
        let count = layout.orderingCount ?? 0
        func prefix(_ path: [Int: Value]) -> [Value] { (0..<count).map { path[$0] ?? .null } }
        return files.filter { file in
            key.map { !Value.precede(prefix(file.path), $0.prefix(count)) } ?? true
        }.sorted { Value.precede(prefix($0.path), prefix($1.path)) }
    }

    /// Where a row may be: one place where its key tells the file, otherwise every file that has it.
    private func places(
        of key: RowKey, _ layout: FileLayout
    ) throws(StoreError) -> [(file: String, name: String)] {
        let values =
            key.values
            + [Value](repeating: .null, count: layout.schema.fields.count - key.values.count)
        let name = layout.entryName(of: values)
        if layout.pathFields.values.allSatisfy({ $0 < layout.schema.keyCount }) {
            // A name that no file can have has none.
            return (try? layout.file(of: values)).map { [($0, name)] } ?? []
        }
        var places: [(file: String, name: String)] = []
        for file in try files(withVanished: true) {
            guard let path = layout.values(ofFile: file),
                path.allSatisfy({ $0.key >= key.values.count || key.values[$0.key] == $0.value }),
                try load(file, layout).knows(name)
            else { continue }
            places.append((file, name))
        }
        return places
    }

    private func stamped(
        _ row: StampedRow?, _ file: String, _ name: String
    ) throws(StoreError) -> StampedRow {
        guard let row else {
            throw .damaged(
                store: folder.root,
                problem: "\(file): nobody journaled '\(name.prefix(80))', and it is not whole")
        }
        return row
    }

    // MARK: - What is gone

    /// Whether every row that has a stamp must be there. While a dataset is being filled, or was never
    /// filled, what is missing tells nothing.
    private func isWhole(_ layout: FileLayout) throws(StoreError) -> Bool {
        try storeFile().position(in: identities).datasets.contains(layout.schema.dataset)
    }

    private func vanished(_ name: String, _ file: String) -> StoreError {
        .damaged(
            store: folder.root,
            problem:
                "\(file): what opsd wrote as '\(name.prefix(80))' is gone; put it back, or run 'opsd "
                + "rebuild' for this store")
    }

    /// - Parameter withVanished: also those that are gone and whose stamps are there.
    func files(withVanished: Bool) throws(StoreError) -> [String] {
        let present = try folder.files()
        guard withVanished else { return present }
        let known = Set(present)
        return try present
            + folder.files(below: Self.stampFolder).lazy
            .map { String($0.dropFirst(Self.stampFolder.count + 1).dropLast(".json".count)) }
            .filter { !known.contains($0) }
    }

    // MARK: - Files

    private static let stampFolder = ".opsd/stamps"

    static func stamps(_ file: String) -> String { stampFolder + "/" + file + ".json" }

    private func load(_ file: String, _ layout: FileLayout) throws(StoreError) -> RowFile {
        let identity = try folder.identity(file)
        let stampIdentity = try folder.identity(Self.stamps(file))
        if let known = known[file], known.rows == identity, known.stamps == stampIdentity {
            return known.file
        }
        let (bytes, stamps) = (try folder.read(file), try folder.read(Self.stamps(file)))
        if bytes == nil, stamps == nil { return RowFile() }
        let rows: RowFile
        do throws(RowFileError) {
            rows = try layout.read(bytes, stamps: stamps)
            if let damage = rows.damage.first { throw RowFileError(problem: damage.problem) }
        } catch {
            throw .damaged(
                store: folder.root,
                problem:
                    "\(file): \(error.problem); correct it, or run 'opsd rebuild' for this store")
        }
        remember(file, rows, identity, stampIdentity)
        return rows
    }

    private func remember(_ file: String, _ rows: RowFile) throws(StoreError) {
        remember(file, rows, try folder.identity(file), try folder.identity(Self.stamps(file)))
    }

    private func remember(
        _ file: String, _ rows: RowFile, _ identity: Folder.Identity?,
        _ stamps: Folder.Identity?
    ) {
        forget(file)
        knownRows += rows.entries.count
        known[file] = Known(rows: identity, stamps: stamps, file: rows)
        while knownRows > Self.knownRowsMax, let other = known.keys.first(where: { $0 != file }) {
            forget(other)
        }
    }

    func forget(_ file: String) {
        if let old = known.removeValue(forKey: file) { knownRows -= old.file.entries.count }
    }

    private func storeFile() throws(StoreError) -> StoreFile {
        // Somebody may have restored it, or emptied the folder.
        let identity = try folder.identity(StoreFile.name)
        if let state, state.identity == identity { return state }
        guard let bytes = try folder.read(StoreFile.name) else { return StoreFile() }
        guard var read = StoreFile(bytes) else {
            throw .damaged(
                store: folder.root,
                problem: "\(StoreFile.name) cannot be read; run 'opsd rebuild' for this store")
        }
        if read.spelling < KeyTemplate.spelling {
            read.datasets.subtract(layouts.filter { $1.earlierPath != nil }.keys)
        }
        read.identity = identity
        state = read
        return read
    }

    private func save(_ new: StoreFile) throws(StoreError) {
        var new = new
        // One from before layouts were kept has the present ones.
        for dataset in new.datasets where new.layouts[dataset] == nil {
            new.layouts[dataset] = layouts[dataset].map { [$0.identity] }
        }
        state = nil
        try folder.replace(StoreFile.name, with: new.bytes)
        try folder.flushFolders(of: [StoreFile.name])
        new.identity = try folder.identity(StoreFile.name)
        state = new
    }

    func layout(_ dataset: String) throws(StoreError) -> FileLayout {
        guard let layout = layouts[dataset] else {
            throw .refused(store: folder.root, problem: "no dataset '\(dataset)' is known")
        }
        return layout
    }

    func check(_ row: Row, _ layout: FileLayout) throws(StoreError) {
        do {
            _ = try layout.schema.row(row.values)
        } catch {
            throw .refused(store: folder.root, problem: error.description)
        }
        let nulls = zip(row.values, layout.schema.keyFields).filter { $0.0 == .null }
        if let field = nulls.first?.1 {
            throw .refused(
                store: folder.root,
                problem: "\(row.dataset).\(field.name) is null, and part of the key")
        }
    }
}
