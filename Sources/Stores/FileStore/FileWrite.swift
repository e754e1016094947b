internal import Ledger

/// One file that a batch changes, as it is to be.
struct FileWrite: Sendable {
    let file: String
    let layout: FileLayout
    let rows: RowFile
    /// It shows the rows already, and stays as it is, byte for byte: another program may have written it.
    let isSame: Bool

    /// Whether nothing is known of it any more.
    var hasNoStamps: Bool { rows.entries.isEmpty && rows.vanished.isEmpty }

    /// Durable once the folder is flushed too.
    func putRows(in folder: Folder) throws(StoreError) {
        if rows.isEmpty { return try folder.remove(file) }
        if isSame { return try folder.flush(file) }
        let bytes: [UInt8]
        do throws(RowFileError) {
            bytes = try layout.bytes(of: rows)
        } catch {
            throw .refused(store: folder.root, problem: "\(file): \(error.problem)")
        }
        try folder.replace(file, with: bytes)
    }

    func putStamps(_ stamps: String, in folder: Folder) throws(StoreError) {
        if hasNoStamps { return try folder.remove(stamps) }
        try folder.replace(stamps, with: layout.stampBytes(of: rows))
    }
}
