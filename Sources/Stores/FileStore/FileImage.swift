internal import Crypto
internal import Foundation
internal import Ledger

/// Where a row lies, and its text there: `{"places":[{"file":…,"row":…,"stamp":…}],"version":1}`.
///
/// Of a file that cannot be understood, of rows or of stamps, it has the SHA-256 of the bytes alone, because
/// the same file is the place of many rows. The bytes themselves are kept in `.opsd/kept/` before anything
/// replaces them.
struct FileImage: Codable, Equatable {
    struct Place: Codable, Equatable {
        let file: String
        /// The member or the lines, as they lie.
        var row: String?
        var stamp: String?
        /// Instead of them where the file cannot be understood: hexadecimal digits.
        var wholeRows: String?
        var wholeStamps: String?

        /// Whether the row may be there as well as not.
        var isUncertain: Bool { row == nil && stamp == nil }
    }

    var version = 1
    var places: [Place] = []

    init() {}

    /// Nil for what no version up to this one has written.
    init?(_ image: RowImage) {
        guard let read = try? JSONDecoder().decode(Self.self, from: Data(image.bytes)),
            read.version == 1
        else { return nil }
        self = read
    }

    var encoded: RowImage {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Numbers and texts are all there is to encode.
        return RowImage(bytes: (try? encoder.encode(self)).map { Array($0) } ?? [])
    }

    static func hash(_ bytes: [UInt8]) -> String {
        SHA256.hash(data: bytes).map { byte in
            (byte < 0x10 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

/// A file and its stamps, as they were read.
struct LyingFile {
    let rowBytes: [UInt8]?
    let stampBytes: [UInt8]?
    /// Nil where the bytes cannot be understood.
    let rows: RawRows?
    let stamps: RawRows?
    let rowsByName: [String: [UInt8]]
    let stampsByName: [String: [UInt8]]
    /// What the file shows, as far as it can be understood.
    let content: RowFile?
    /// The names over the columns of a CSV file.
    let header: [String?]
    /// Of what cannot be understood.
    let rowHash: String?
    let stampHash: String?

    init(_ rowBytes: [UInt8]?, stamps stampBytes: [UInt8]?, _ layout: FileLayout) {
        self.rowBytes = rowBytes
        self.stampBytes = stampBytes
        content = try? layout.read(rowBytes, stamps: nil)
        let known = content == nil ? nil : rowBytes.map { String(decoding: $0, as: UTF8.self) }
        header =
            layout.format == .csv ? known.flatMap(CSV.lines)?.first ?? layout.csvHeader : []
        let header = header
        rows = content == nil ? nil : layout.raw(rowBytes, header)
        stamps =
            stampBytes.map { RawRows(json: $0) { _ in true } } ?? RawRows.emptyObject
        rowHash = rows == nil ? rowBytes.map(FileImage.hash) : nil
        stampHash = stamps == nil ? stampBytes.map(FileImage.hash) : nil
        rowsByName = rows?.byName ?? [:]
        stampsByName = stamps?.byName ?? [:]
    }

    /// What cannot be understood, by its hash.
    var damaged: [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for (hash, bytes) in [(rowHash, rowBytes), (stampHash, stampBytes)] {
            if let hash { found[hash] = bytes }
        }
        return found
    }

    /// Nil where the row is not there for sure.
    func place(_ file: String, _ name: String) -> FileImage.Place? {
        func text(_ bytes: [UInt8]?) -> String? {
            bytes.map { String(decoding: $0, as: UTF8.self) }
        }
        let place = FileImage.Place(
            file: file, row: text(rowsByName[name]), stamp: text(stampsByName[name]),
            wholeRows: rowHash, wholeStamps: stampHash)
        return place.isUncertain && rowHash == nil && stampHash == nil ? nil : place
    }
}

extension RawRows? {
    /// Whether it holds nothing but rows of these names.
    func holdsOnly(_ names: Set<String>) -> Bool {
        self?.items.allSatisfy { $0.name.map(names.contains) ?? false } ?? true
    }
}

extension FileLayout {
    fileprivate func raw(_ bytes: [UInt8]?, _ header: [String?]) -> RawRows? {
        if format == .csv {
            guard let bytes else {
                return RawRows(csvHeader: Array(CSV.line(csvHeader).utf8.dropLast()))
            }
            return RawRows(csv: bytes) { name(ofLine: $0, header) }
        }
        if entry == nil { return RawRows(one: bytes) }
        guard let bytes else { return .emptyObject }
        return RawRows(json: bytes) { !ignored.contains($0) && values(ofEntry: $0) != nil }
    }

    fileprivate var csvHeader: [String?] {
        entryFields.map { schema.fields[$0].name } + shown.map(\.name)
    }

    private func name(ofLine line: [UInt8], _ header: [String?]) -> String? {
        guard let cells = CSV.lines(String(decoding: line, as: UTF8.self))?.first,
            cells.count == header.count
        else { return nil }
        var row = [Value](repeating: .null, count: schema.fields.count)
        for index in entryFields {
            let field = schema.fields[index]
            guard let column = header.firstIndex(of: field.name), let text = cells[column],
                let value = Value(written: text, as: field.type)
            else { return nil }
            row[index] = value
        }
        return entryName(of: row)
    }

    /// A row as it is to lie in a file. What the file shows already stays as it lies.
    func raw(
        _ entry: RowFile.Entry, _ name: String, in file: LyingFile
    ) throws(StoreError) -> [UInt8] {
        if let present = file.rowsByName[name], file.content?.entries[name]?.shown == entry.shown {
            return present
        }
        guard format == .csv else {
            if self.entry != nil { return member(name, entry) }
            var only = RowFile()
            only.entries[name] = entry
            return json(only)
        }
        let key = values(ofEntry: name) ?? [:]
        var values: [String: String?] = [:]
        for index in entryFields { values[schema.fields[index].name] = key[index]?.plainText }
        for (item, value) in zip(shown, entry.shown) {
            guard value == .null || file.header.contains(item.name) else {
                throw .refused(
                    store: schema.dataset,
                    problem:
                        "the column '\(item.name)' is missing: run 'opsd rebuild' for this store")
            }
            values[item.name] = value.plainText
        }
        // Columns of another program's keep what they have.
        let old = file.rowsByName[name].flatMap {
            CSV.lines(String(decoding: $0, as: UTF8.self))?.first
        }
        let cells = file.header.enumerated().map { column, title in
            title.flatMap { values[$0] }
                ?? (old?.count == file.header.count ? old?[column] : nil)
        }
        return Array(CSV.line(cells).utf8.dropLast())
    }
}
