internal import Connections
internal import Foundation
internal import Glibc
internal import Ledger

/// The hashes of one side's rows, by the hash of their key: what is left of a scan, so that two sides of
/// any size can be compared in bounded memory.
///
/// They lie in parts by the key's hash. Beyond `memoryMax` rows the parts go into a file that has no name,
/// and goes with the process; a part comes back whole, to be compared with the same part of another side.
///
/// Its thread is its own, because files block.
actor RowHashes {
    static let partCount = 64
    private static let blockRows = 4_096

    private let thread = ThreadExecutor(name: "row-hashes")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let directory: String
    private let memoryMax: Int
    private var parts = [[HashedRow]](repeating: [], count: partCount)
    private var file: FileHandle?
    private var fileEnd: UInt64 = 0
    /// Where the blocks of each part lie in the file.
    private var blocks = [[(offset: UInt64, rows: Int)]](repeating: [], count: partCount)
    private var rowsInMemory = 0
    private(set) var count = 0

    /// - Parameters:
    ///   - directory: where the file is made when it is needed.
    ///   - memoryMax: rows that are kept in memory.
    init(directory: String, memoryMax: Int = 2_000_000) {
        self.directory = directory
        self.memoryMax = memoryMax
    }

    deinit { thread.stop() }

    /// - Parameter accounts: the numbers of the rows' accounts, where theirs are places in it.
    func append(_ entries: [HashedRow], _ accounts: [Int32]? = nil) throws(StoreError) {
        for var entry in entries {
            if let accounts { entry.account = accounts[Int(entry.account)] }
            parts[Int(entry.key >> 58)].append(entry)
        }
        count += entries.count
        rowsInMemory += entries.count
        if rowsInMemory > memoryMax { try spill() }
    }

    /// The rows of a part.
    func part(_ number: Int) throws(StoreError) -> [HashedRow] {
        var found: [HashedRow] = []
        for block in blocks[number] {
            let bytes = block.rows * MemoryLayout<HashedRow>.stride
            let data: Data?
            do {
                try file?.seek(toOffset: block.offset)
                data = try file?.read(upToCount: bytes)
            } catch {
                throw problem(error)
            }
            guard let data, data.count == bytes else {
                throw .unavailable(store: directory, problem: "a block came back short")
            }
            data.withUnsafeBytes { found += $0.bindMemory(to: HashedRow.self) }
        }
        return found + parts[number]
    }

    private func spill() throws(StoreError) {
        do {
            let file = try file ?? Self.nameless(in: directory)
            self.file = file
            for part in parts.indices where !parts[part].isEmpty {
                let rows = parts[part]
                let data = rows.withUnsafeBytes { Data($0) }
                try file.seek(toOffset: fileEnd)
                try file.write(contentsOf: data)
                blocks[part].append((fileEnd, rows.count))
                fileEnd += UInt64(data.count)
                parts[part].removeAll(keepingCapacity: true)
            }
            rowsInMemory = 0
        } catch {
            throw problem(error)
        }
    }

    private static func nameless(in directory: String) throws(StoreError) -> FileHandle {
        var path = Array("\(directory)/hashes-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else {
            throw .unavailable(
                store: directory,
                problem: "no file can be made there: \(String(cString: strerror(errno)))")
        }
        unlink(path)
        // No child of this process gets it.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    private func problem(_ error: any Error) -> StoreError {
        if let error = error as? StoreError { return error }
        return .unavailable(
            store: directory,
            problem: "the hashes of the rows found no room there: \(error.localizedDescription)")
    }
}
