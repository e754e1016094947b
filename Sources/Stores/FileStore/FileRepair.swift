internal import Foundation
public import Ledger
internal import Synchronization

/// What lies in the places of rows, and putting something else there: each file is written once a call, and
/// only where it still is what was read.
///
/// One row is exchanged for another within the text of the file. A file that cannot be understood is made
/// anew, of the rows that are put there; it comes back only where nothing else is in the new one by then.
extension FileStore: RepairableStore {
    private static let triesMax = 5
    private static let keptFolder = ".opsd/kept"

    public func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        guard let dataset = keys.first?.dataset else { return [] }
        return try sight(keys, try layout(dataset)).images
    }

    public func replace(
        _ replacements: [RowReplacement]
    ) async throws(StoreError) -> [RowImage?] {
        guard let dataset = replacements.first?.key.dataset else { return [] }
        let layout = try layout(dataset)
        for replacement in replacements {
            guard case .row(let stamped) = replacement.content else { continue }
            try check(stamped.row, layout)
            guard stamped.row.key(in: layout.schema) == replacement.key else {
                throw .refused(
                    store: folder.root, problem: "the row for \(replacement.key) has another key")
            }
        }
        var replaced: Set<Int> = []
        var left = Array(replacements.indices)
        // Another program may write at the same time, and then its files are looked at again.
        for _ in 0..<Self.triesMax where !left.isEmpty {
            var sight = try sight(left.map { replacements[$0].key }, layout)
            let edits = try edits(left.map { replacements[$0] }, layout, &sight)
            let changed = try commit(edits.files, sight)
            var again: [Int] = []
            for (index, files) in zip(left, edits.ofRows) {
                guard let files else { continue }
                if files.isDisjoint(with: changed) {
                    replaced.insert(index)
                } else {
                    again.append(index)
                }
            }
            left = again
        }
        let images = try sight(replacements.map(\.key), layout).images
        return zip(replacements.indices, images).map { replaced.contains($0) ? $1 : nil }
    }

    // MARK: - Looking

    /// What lies in the places of some rows, and the files that were read for it.
    private struct Sight {
        let layout: FileLayout
        var files: [String: LyingFile] = [:]
        var found: [FileImage]

        var images: [RowImage] { found.map(\.encoded) }
    }

    private func sight(_ keys: [RowKey], _ layout: FileLayout) throws(StoreError) -> Sight {
        let schema = layout.schema
        var files: [String: [Int]] = [:]
        var searched: [Int] = []
        for (index, key) in keys.enumerated() {
            guard key.dataset == schema.dataset, key.values.count == schema.keyCount else {
                throw .refused(
                    store: folder.root, problem: "\(key) is no key of \(schema.dataset)")
            }
            if layout.isSearched {
                searched.append(index)
            } else if let file = try? layout.file(of: key.values) {
                // A name that no file can have has none.
                files[file, default: []].append(index)
            }
        }
        if !searched.isEmpty {
            for file in try self.files(withVanished: true) {
                guard let path = layout.values(ofFile: file) else { continue }
                let fitting = searched.filter { index in
                    let key = keys[index].values
                    return path.allSatisfy { $0.key >= key.count || key[$0.key] == $0.value }
                }
                if !fitting.isEmpty { files[file] = fitting }
            }
        }
        var sight = Sight(
            layout: layout, found: [FileImage](repeating: FileImage(), count: keys.count))
        var damaged: [Int: [FileImage.Place]] = [:]
        for (file, indexes) in files.sorted(by: { $0.key < $1.key }) {
            let lying = try lying(file, &sight)
            for index in indexes {
                guard let place = lying.place(file, layout.name(of: keys[index])) else { continue }
                if place.isUncertain {
                    damaged[index, default: []].append(place)
                } else {
                    sight.found[index].places.append(place)
                }
            }
        }
        // A row that is found lies in no file that cannot be understood.
        for (index, places) in damaged where sight.found[index].places.isEmpty {
            sight.found[index].places = places
        }
        return sight
    }

    private func lying(_ file: String, _ sight: inout Sight) throws(StoreError) -> LyingFile {
        if let known = sight.files[file] { return known }
        let (rows, stamps) = try bytes(of: file)
        let lying = LyingFile(rows, stamps: stamps, sight.layout)
        sight.files[file] = lying
        return lying
    }

    // MARK: - Replacing

    /// What is to be changed in one file.
    private struct Edit {
        var rows: [String: [UInt8]?] = [:]
        var stamps: [String: [UInt8]?] = [:]
        /// Instead of them.
        var wholeRows: [UInt8]?
        var wholeStamps: [UInt8]?
    }

    /// - Returns: what is to be changed, and of each row in which files; nil where it stays.
    private func edits(
        _ replacements: [RowReplacement], _ layout: FileLayout, _ sight: inout Sight
    ) throws(StoreError) -> (files: [String: Edit], ofRows: [Set<String>?]) {
        var seen: Set<RowKey> = []
        var wanted: [(index: Int, image: FileImage?)] = []
        var namesOfWholeRows: [String: Set<String>] = [:]
        var namesOfWholeStamps: [String: Set<String>] = [:]
        for (index, replacement) in replacements.enumerated()
        where sight.found[index].encoded == replacement.expected
            && seen.insert(replacement.key).inserted
        {
            var image: FileImage?
            if case .image(let content) = replacement.content {
                let decoded = try decoded(content, layout)
                let name = layout.name(of: replacement.key)
                for place in decoded.places {
                    if place.wholeRows != nil {
                        namesOfWholeRows[place.file, default: []].insert(name)
                    }
                    if place.wholeStamps != nil {
                        namesOfWholeStamps[place.file, default: []].insert(name)
                    }
                }
                image = decoded
            }
            wanted.append((index, image))
        }
        var edits: [String: Edit] = [:]
        var ofRows = [Set<String>?](repeating: nil, count: replacements.count)
        for (index, image) in wanted {
            var isSpoiled = false
            for place in image?.places ?? [] {
                let lying = try lying(place.file, &sight)
                let rowsStay =
                    place.wholeRows != nil
                    && !lying.rows.holdsOnly(namesOfWholeRows[place.file] ?? [])
                let stampsStay =
                    place.wholeStamps != nil
                    && !lying.stamps.holdsOnly(namesOfWholeStamps[place.file] ?? [])
                if rowsStay || stampsStay { isSpoiled = true }
            }
            if isSpoiled { continue }
            let name = layout.name(of: replacements[index].key)
            var files: Set<String> = []
            for place in sight.found[index].places {
                // One that cannot be understood is made anew only where the row's key says that it is its.
                if place.isUncertain, layout.isSearched { continue }
                files.insert(place.file)
                edits[place.file, default: Edit()].rows[name] = .some(nil)
                edits[place.file, default: Edit()].stamps[name] = .some(nil)
            }
            if case .row(let stamped) = replacements[index].content {
                let file = try layout.file(of: stamped.row.values)
                let (entry, lying) = (layout.entry(of: stamped), try lying(file, &sight))
                files.insert(file)
                edits[file, default: Edit()].rows[name] = try layout.raw(entry, name, in: lying)
                edits[file, default: Edit()].stamps[name] = entry.stamp.map {
                    layout.stampMember(name, $0, of: entry)
                }
            }
            for place in image?.places ?? [] {
                files.insert(place.file)
                let lying = try lying(place.file, &sight)
                var edit = edits[place.file] ?? Edit()
                edit.rows[name] = .some(place.row.map { Array($0.utf8) })
                edit.stamps[name] = .some(place.stamp.map { Array($0.utf8) })
                if let hash = place.wholeRows {
                    edit.wholeRows = hash == lying.rowHash ? lying.rowBytes : try kept(hash)
                }
                if let hash = place.wholeStamps {
                    edit.wholeStamps = hash == lying.stampHash ? lying.stampBytes : try kept(hash)
                }
                edits[place.file] = edit
            }
            ofRows[index] = files
        }
        return (edits, ofRows)
    }

    private func decoded(
        _ image: RowImage, _ layout: FileLayout
    ) throws(StoreError) -> FileImage {
        guard let decoded = FileImage(image),
            decoded.places.allSatisfy({ layout.values(ofFile: $0.file) != nil })
        else {
            throw .refused(
                store: folder.root,
                problem: "an image of \(layout.schema.dataset) is not one of this opsd's")
        }
        return decoded
    }

    // MARK: - Files

    /// Writes rows and then stamps of each file.
    /// - Returns: the files that somebody else has changed meanwhile.
    private func commit(
        _ edits: [String: Edit], _ sight: Sight
    ) throws(StoreError) -> Set<String> {
        var writes: [RepairWrite] = []
        for (file, edit) in edits.sorted(by: { $0.key < $1.key }) {
            guard let lying = sight.files[file] else { continue }
            let empty = LyingFile(nil, stamps: nil, sight.layout)
            writes.append(
                RepairWrite(
                    file: file, old: (lying.rowBytes, lying.stampBytes),
                    new: (
                        edit.wholeRows ?? (lying.rows ?? empty.rows)?.with(edit.rows).bytes,
                        edit.wholeStamps
                            ?? (lying.stamps ?? empty.stamps)?.with(edit.stamps).bytes
                    ),
                    kept: lying.damaged))
        }
        for write in writes { forget(write.file) }
        // Files are written by several threads; the lock guards the list of what they could not write.
        let changed = Mutex<Set<String>>([])
        try Abreast.forEach(writes) { [folder] write throws(StoreError) in
            if try !write.put(in: folder) { changed.withLock { _ = $0.insert(write.file) } }
        }
        return changed.withLock { $0 }
    }

    private func kept(_ hash: String) throws(StoreError) -> [UInt8] {
        guard hash.allSatisfy(\.isHexDigit), let bytes = try folder.read(Self.kept(hash)) else {
            throw .refused(
                store: folder.root,
                problem: "what \(Self.kept(hash.prefix(64))) kept is gone, and cannot be put back")
        }
        return bytes
    }

    fileprivate static func kept(_ hash: some StringProtocol) -> String { "\(keptFolder)/\(hash)" }
}

/// A file as it was and as it is to be.
private struct RepairWrite: Sendable {
    let file: String
    let old: (rows: [UInt8]?, stamps: [UInt8]?)
    let new: (rows: [UInt8]?, stamps: [UInt8]?)
    /// Of what is not understood a copy stays, under its hash.
    let kept: [String: [UInt8]]

    /// False where somebody else has changed the file.
    func put(in folder: Folder) throws(StoreError) -> Bool {
        for (hash, bytes) in kept {
            let copy = FileStore.kept(hash)
            try folder.replace(copy, with: bytes)
            try folder.flushFolders(of: [copy])
        }
        let stamps = FileStore.stamps(file)
        guard try put(new.rows, over: old.rows, at: file, in: folder) else { return false }
        return try put(new.stamps, over: old.stamps, at: stamps, in: folder)
    }

    private func put(
        _ new: [UInt8]?, over old: [UInt8]?, at file: String, in folder: Folder
    ) throws(StoreError) -> Bool {
        if new == old { return try folder.read(file) == old }
        if let new {
            guard
                try folder.replace(
                    file, with: new, if: { () throws(StoreError) in try folder.read(file) == old })
            else { return false }
        } else {
            guard try folder.read(file) == old else { return false }
            try folder.remove(file)
        }
        try folder.flushFolders(of: [file])
        return true
    }
}

extension FileLayout {
    /// Whether a row's key does not tell its file.
    fileprivate var isSearched: Bool {
        pathFields.values.contains { $0 >= schema.keyCount }
    }

    /// What a row of this key is called within its file.
    fileprivate func name(of key: RowKey) -> String {
        entryName(
            of: key.values
                + [Value](repeating: .null, count: schema.fields.count - key.values.count))
    }
}
